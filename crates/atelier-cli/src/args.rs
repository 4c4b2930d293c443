//! Groups of arguments that several commands share.

use std::env;
use std::path::PathBuf;
use std::str::FromStr;

use atelier_api::env::{EnvRef, NetworkMode};
use atelier_api::{EnvOptions, Fault, Name};
use atelier_config::{Layer, units};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json, table};
use crate::run::Keys;

/// Which project.
#[derive(Debug, Default, Args)]
pub(crate) struct ProjectArgs {
    /// A folder in the project, instead of the current one
    #[arg(short = 'C', long, value_name = "FOLDER")]
    pub project: Option<PathBuf>,
}

/// A name, or what is wrong with it and which one is nearest.
pub(crate) fn name(text: &str) -> Result<Name, String> {
    text.parse::<Name>().map_err(|bad| {
        let hints: String = bad.hints().iter().map(|hint| format!("; {hint}")).collect();
        format!("{bad}{hints}")
    })
}

/// How a list is shown.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only names, one on each line
    #[arg(short, long)]
    pub quiet: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

impl ListArgs {
    /// Prints what was found: whole as JSON, names alone, or a table for people.
    pub(crate) fn show<T: Serialize, const N: usize>(
        &self,
        found: Vec<T>,
        name: impl Fn(&T) -> String,
        head: [&str; N],
        row: impl Fn(T) -> [String; N],
    ) -> Result<u8, Failure> {
        if self.json {
            print_json(&found)?;
        } else if self.quiet {
            print(found.iter().map(|one| format!("{}\n", name(one))).collect::<String>())?;
        } else {
            let rows: Vec<_> = found.into_iter().map(row).collect();
            print(table(head, &rows))?;
        }
        Ok(0)
    }
}

/// One environment of a project.
#[derive(Debug, Args)]
pub(crate) struct EnvArg {
    /// The environment's name
    #[arg(value_name = "ENV", value_parser = name)]
    pub env: Name,
    #[command(flatten)]
    pub project: ProjectArgs,
}

impl EnvArg {
    /// As the API names it.
    pub(crate) fn reference(&self, context: &Context<'_>) -> Result<EnvRef, Failure> {
        let project = context.project(self.project.project.as_deref())?;
        Ok(EnvRef { env: self.env.clone(), project })
    }
}

/// The keys that leave a command running.
#[derive(Debug, Default, Args)]
pub(crate) struct KeysArg {
    /// The keys that leave the command running and its terminal; ctrl-p,ctrl-q by default
    #[arg(long, value_name = "KEYS", value_parser = Keys::from_str)]
    pub detach_keys: Option<Keys>,
}

impl KeysArg {
    /// Those that were given, or Docker's.
    pub(crate) fn keys(&self) -> Keys {
        self.detach_keys.clone().unwrap_or_default()
    }
}

/// What a new environment is made with. What is left out comes from ATELIER_* variables,
/// atelier.yaml and the settings.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "For a new environment")]
pub(crate) struct OptionArgs {
    /// Take a clean checkout of a commit, branch or tag instead of the folder as it is; or another folder, written
    /// with / or . in front
    #[arg(long, value_name = "REF|FOLDER")]
    pub from: Option<String>,
    /// Begin with no files of the project
    #[arg(long, conflicts_with = "from")]
    pub empty: bool,
    /// Have files come along that `files` in atelier.yaml leaves out (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// What isolates it
    #[arg(long, value_name = "NAME")]
    pub runtime: Option<String>,
    /// What the network lets through
    #[arg(long, value_name = "MODE")]
    pub network: Option<Network>,
    /// Let connections to HOST:PORT through, and no others unless --network is open; localhost:PORT
    /// is a port of this machine, reached at host.atelier.internal (repeatable)
    #[arg(long, value_name = "HOST:PORT")]
    pub allow: Vec<String>,
    /// Keep a group of credentials visible inside, such as ssh (repeatable)
    #[arg(long, value_name = "NAME")]
    pub grant: Vec<String>,
    /// Limit memory, such as 2GiB
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub memory: Option<u64>,
    /// Limit processor time, in cores, such as 1.5
    #[arg(long, value_name = "CORES", value_parser = units::parse_cpus)]
    pub cpus: Option<f64>,
    /// Limit processes and threads
    #[arg(long, value_name = "COUNT", value_parser = units::parse_count)]
    pub processes: Option<u64>,
    /// Limit what is written to disk, such as 10GiB
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub disk: Option<u64>,
}

/// What an environment is made from, as the API takes it: folders by their whole path.
pub(crate) fn source(given: &str) -> Result<String, Failure> {
    let is_folder = ["/", "./", "../"].iter().any(|start| given.starts_with(start))
        || matches!(given, "." | "..");
    if !is_folder {
        return Ok(given.to_owned());
    }
    let folder = std::path::absolute(given)?;
    folder.into_os_string().into_string().map_err(|path| {
        Failure::usage(format!("{} can't be named: its path is not UTF-8", path.display()))
    })
}

/// The network's mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Network {
    /// Outbound connections, except to this machine
    Open,
    /// No connections at all
    None,
    /// Only what --allow names
    Allowlist,
}

impl OptionArgs {
    /// As the API takes them, with the environment variables below the flags.
    pub(crate) fn options(&self) -> Result<EnvOptions, Failure> {
        if !self.allow.is_empty() && self.network == Some(Network::None) {
            let why = "--allow lets something through, and --network none lets nothing through";
            return Err(Failure::usage(why));
        }
        let from = match &self.from {
            Some(from) => Some(source(from)?),
            None => None,
        };
        let layer = self.layer().over(Layer::from_env(|name| env::var_os(name))?);
        let (empty, include) = (self.empty, self.include.clone());
        Ok(EnvOptions { from, empty, include, ..layer.env_options() })
    }

    fn layer(&self) -> Layer {
        let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
        Layer {
            runtime: self.runtime.clone(),
            network: self.network.map(|mode| match mode {
                Network::Open => NetworkMode::Open,
                Network::None => NetworkMode::None,
                Network::Allowlist => NetworkMode::Allowlist,
            }),
            allow: some(&self.allow),
            grants: some(&self.grant),
            memory: self.memory,
            cpus: self.cpus,
            processes: self.processes,
            disk: self.disk,
            ..Layer::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_imply_an_allowlist() {
        let args = OptionArgs { allow: vec!["a:1".into()], ..OptionArgs::default() };
        assert_eq!(args.options().unwrap().network, Some(NetworkMode::Allowlist));
    }

    #[test]
    fn rules_for_a_network_that_is_cut_off_are_wrong_usage() {
        let args = OptionArgs {
            allow: vec!["a:1".into()],
            network: Some(Network::None),
            ..OptionArgs::default()
        };
        assert!(args.options().is_err());
    }

    #[test]
    fn what_is_not_given_is_left_to_the_control_plane() {
        let options = OptionArgs::default().options().unwrap();
        assert_eq!(serde_json::to_value(options).unwrap(), serde_json::json!({"resources": {}}));
    }
}
