//! `atelier host add`: a machine gets a name.

use std::path::PathBuf;

use atelier_api::{ExitCode, Name, Problem};
use atelier_far::{Host, Hosts, Ssh};
use clap::Args;

use crate::args::name;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::print;

/// Arguments of `atelier host add`.
#[derive(Debug, Args)]
#[command(
    after_help = "What ssh's own configuration says of the machine holds as well: keys, ports, jump \
                        hosts. Nothing is connected to yet; `atelier host check` does."
)]
pub(crate) struct AddArgs {
    /// What it is called here
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: Name,
    /// Where ssh goes: user@machine, or a name of ssh's configuration
    #[arg(value_name = "DESTINATION")]
    pub ssh: String,
    /// The port of its SSH server
    #[arg(short, long, value_name = "PORT")]
    pub port: Option<u16>,
    /// A file with the private key
    #[arg(short, long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// Atelier's home there; ~/.atelier by default
    #[arg(long, value_name = "FOLDER")]
    pub home: Option<String>,
    /// A further setting of ssh, as its -o takes it (repeatable)
    #[arg(short = 'o', long = "option", value_name = "NAME=VALUE")]
    pub options: Vec<String>,
    /// Replace one of this name
    #[arg(long)]
    pub force: bool,
}

/// Adds it.
pub(crate) fn run(args: &AddArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let home = context.home()?;
    let mut hosts = Hosts::load(&home)?;
    let identity = args.identity.as_deref().map(|file| context.path(file)).transpose()?;
    let host = Host {
        name: args.name.to_string(),
        ssh: args.ssh.clone(),
        port: args.port,
        identity: identity.map(|file| file.0),
        home: args.home.clone(),
        options: args.options.clone(),
    };
    host.check()?;
    match hosts.0.insert(args.name.clone(), host) {
        Some(old) if !args.force => {
            let detail = format!("the host {} is there already: {}", args.name, old.ssh);
            return Err(Problem::new("far.exists", ExitCode::Conflict, detail)
                .hint("--force replaces it")
                .into());
        }
        // Its connection would outlive its name.
        Some(old) => Ssh::of(old, &home)?.close(),
        None => {}
    }
    hosts.save(&home)?;
    print(format!("{} is {}\n", args.name, args.ssh))?;
    Ok(0)
}
