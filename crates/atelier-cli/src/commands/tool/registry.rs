//! `atelier tool registry`: where tools are looked up.

use atelier_tools::home::{Registry, RegistryKind};
use atelier_tools::verbs;
use clap::{Args, Subcommand, ValueEnum};

use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json, table};

/// Every verb.
#[derive(Debug, Subcommand)]
pub(crate) enum RegistryCommand {
    /// List the registries
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Look tools up there as well
    Add(AddArgs),
    /// Look there no longer; installed tools stay
    #[command(visible_alias = "rm")]
    Remove(RemoveArgs),
}

/// Arguments of `atelier tool registry ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `atelier tool registry add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// What it is to be called
    pub name: String,
    /// Its git URL, or a folder; of kind mcp where its API begins
    pub url: Option<String>,
    /// How it is asked: a repository with an index, or the API of the MCP Registry, whose own address
    /// need not be given
    #[arg(long, value_enum, default_value_t)]
    pub kind: Asked,
    /// A branch, tag or commit of it
    #[arg(long = "ref", value_name = "REF")]
    pub reference: Option<String>,
    /// A minisign public key, or the file that has it; the registry's index must be signed with it
    #[arg(long, value_name = "KEY|FILE")]
    pub key: Option<String>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// How a registry is asked.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum Asked {
    /// By git
    #[default]
    Git,
    /// By the API of the MCP Registry
    Mcp,
}

/// Arguments of `atelier tool registry remove`.
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// The registry
    pub name: String,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

impl RegistryCommand {
    /// Whether the command was asked for JSON.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Ls(args) => args.json,
            Self::Add(args) => args.json,
            Self::Remove(args) => args.json,
        }
    }
}

/// Does what was asked and gives the exit code.
pub(crate) fn dispatch(command: &RegistryCommand, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, command.json())?;
    match command {
        RegistryCommand::Ls(args) => ls(&desk, args),
        RegistryCommand::Add(args) => add(&desk, args),
        RegistryCommand::Remove(args) => {
            verbs::registry_remove(&desk.home, &args.name, &desk.context().get())?;
            match args.json {
                true => print_json(&[&args.name])?,
                false => print(format!("removed {}\n", args.name))?,
            }
            Ok(0)
        }
    }
}

fn ls(desk: &Desk, args: &LsArgs) -> Result<u8, Failure> {
    let all = verbs::registry_ls(&desk.home, &desk.context().get())?;
    if args.json {
        print_json(&all)?;
        return Ok(0);
    }
    let row = |known: &verbs::Known| {
        let tools = known.tools.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let kind = match (known.registry.kind, &known.registry.key) {
            (RegistryKind::Mcp, _) => "mcp",
            (RegistryKind::Git, Some(_)) => "git, signed",
            (RegistryKind::Git, None) => "git",
        };
        [known.registry.name.clone(), tools, kind.to_owned(), known.registry.url.clone()]
    };
    print(table(["REGISTRY", "TOOLS", "KIND", "URL"], &all.iter().map(row).collect::<Vec<_>>()))?;
    Ok(0)
}

fn add(desk: &Desk, args: &AddArgs) -> Result<u8, Failure> {
    let (kind, url) = match (args.kind, &args.url) {
        (Asked::Git, Some(url)) => (RegistryKind::Git, url.as_str()),
        (Asked::Git, None) => return Err(Failure::usage("a git registry has a URL")),
        (Asked::Mcp, url) => {
            (RegistryKind::Mcp, url.as_deref().unwrap_or(atelier_tools::MCP_REGISTRY))
        }
    };
    let registry = Registry {
        name: args.name.clone(),
        kind,
        url: url.to_owned(),
        reference: args.reference.clone(),
        key: args.key.as_deref().map(key).transpose()?,
    };
    let known = verbs::registry_add(&desk.home, &registry, &desk.context().get())?;
    match args.json {
        true => print_json(&known)?,
        false => {
            let with = known.tools.map(|n| format!(" with {n} tools")).unwrap_or_default();
            print(format!("added {}{with}\n", args.name))?;
        }
    }
    Ok(0)
}

/// The key itself; a file of minisign has it in its last line.
fn key(given: &str) -> Result<String, Failure> {
    let path = std::path::Path::new(given);
    if !path.is_file() {
        return Ok(given.to_owned());
    }
    let text = std::fs::read_to_string(path).map_err(|e| Failure::of_file("read", path, &e))?;
    Ok(text.trim().lines().next_back().unwrap_or_default().to_owned())
}
