//! What an environment is made with: what the caller asked for, over `atelier.yaml`, over the
//! settings of the control plane.

use std::collections::BTreeMap;
use std::time::Duration;

use atelier_api::env::{NetworkMode, Resources};
use atelier_api::{EnvOptions, ExitCode, Problem};
use atelier_environment::{Config, Network};
use atelier_net::{Mode, Policy, Rule};

/// Settings of the control plane that environments are made with.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// For every environment that does not say otherwise.
    pub options: EnvOptions,
    /// Variables of the control plane's own environment that init commands get.
    pub inherited: BTreeMap<String, String>,
    /// A sandbox without commands is stopped after this; `None` for never.
    pub idle_stop: Option<Duration>,
    /// CRIU, if it is not where programs are.
    pub criu: Option<std::path::PathBuf>,
}

/// The three layers put together. A network rule without a mode means an allowlist, at the layer
/// that gives it.
pub(crate) fn resolve(asked: EnvOptions, config: &Config, defaults: &EnvOptions) -> EnvOptions {
    let file = from_file(config);
    let (network, allow) = [&asked, &file, defaults]
        .into_iter()
        .find(|layer| layer.network.is_some() || !layer.allow.is_empty())
        .map_or((NetworkMode::Open, Vec::new()), network);
    let pick = |f: fn(&Resources) -> Option<u64>| {
        [&asked, &file, defaults].into_iter().find_map(|layer| f(&layer.resources))
    };
    let cpus = [&asked, &file, defaults].into_iter().find_map(|layer| layer.resources.cpus);
    let mut grants = defaults.grants.clone();
    grants.extend(file.grants.iter().chain(&asked.grants).cloned());
    grants.sort_unstable();
    grants.dedup();
    let mut variables = defaults.variables.clone();
    variables.extend(file.variables.clone());
    variables.extend(asked.variables.clone());
    EnvOptions {
        runtime: asked
            .runtime
            .clone()
            .or(file.runtime.clone())
            .or_else(|| defaults.runtime.clone()),
        resources: Resources {
            memory: pick(|r| r.memory),
            cpus,
            processes: pick(|r| r.processes),
            disk: pick(|r| r.disk),
        },
        network: Some(network),
        allow,
        grants,
        variables,
        from: asked.from,
        empty: asked.empty,
        include: asked.include,
    }
}

/// What `atelier.yaml` says, in the API's words.
fn from_file(config: &Config) -> EnvOptions {
    let (network, allow) = match config.network.clone() {
        None => (None, Vec::new()),
        Some(Network::Open) => (Some(NetworkMode::Open), Vec::new()),
        Some(Network::None) => (Some(NetworkMode::None), Vec::new()),
        Some(Network::Allow(rules)) => (Some(NetworkMode::Allowlist), rules),
    };
    EnvOptions {
        from: None,
        empty: false,
        include: Vec::new(),
        runtime: config.runtime.clone(),
        resources: Resources {
            memory: config.resources.memory.map(|m| m.0),
            cpus: config.resources.cpus,
            processes: config.resources.processes.map(u64::from),
            disk: config.resources.disk.map(|d| d.0),
        },
        network,
        allow,
        grants: config.grants.clone(),
        variables: config.env.clone(),
    }
}

fn network(layer: &EnvOptions) -> (NetworkMode, Vec<String>) {
    let implied = if layer.allow.is_empty() { NetworkMode::Open } else { NetworkMode::Allowlist };
    (layer.network.unwrap_or(implied), layer.allow.clone())
}

/// What is wrong with the options, before anything is made.
///
/// # Errors
/// `options.invalid` with what to write instead.
pub(crate) fn validate(options: &EnvOptions) -> Result<Policy, Problem> {
    let bad = |detail: String| Problem::new("options.invalid", ExitCode::Usage, detail);
    for grant in &options.grants {
        atelier_launch::grants::check(&[grant]).map_err(|e| bad(e.why).with_hints(e.hints))?;
    }
    if options.empty && options.from.is_some() {
        return Err(bad("an environment can't be empty and made from something".into())
            .hint("leave out --empty, or --from"));
    }
    atelier_sandbox::check_options(&options.resources, &options.variables)?;
    policy(options)
}

fn policy(options: &EnvOptions) -> Result<Policy, Problem> {
    let mode = match options.network.unwrap_or_default() {
        NetworkMode::Open => Mode::Open,
        NetworkMode::None => Mode::None,
        NetworkMode::Allowlist => Mode::Allowlist,
    };
    let rule = |text: &String| {
        text.parse::<Rule>().map_err(|e| {
            Problem::new(
                "network.rule_invalid",
                ExitCode::Usage,
                format!("{text:?} is no rule: {e}"),
            )
            .hint("write rules as host:port, such as registry.npmjs.org:443")
        })
    };
    let allow = options.allow.iter().map(rule).collect::<Result<_, _>>()?;
    Ok(Policy { mode, allow, ..Policy::none() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(rule: &str) -> EnvOptions {
        EnvOptions { allow: vec![rule.into()], ..EnvOptions::default() }
    }

    #[test]
    fn the_caller_stands_above_the_file_and_the_settings() {
        let mut defaults = EnvOptions::default();
        defaults.resources.processes = Some(8192);
        defaults.resources.memory = Some(1 << 30);
        let mut asked = EnvOptions::default();
        asked.resources.memory = Some(1 << 29);
        let options = resolve(asked, &Config::default(), &defaults);
        assert_eq!(options.resources.memory, Some(1 << 29));
        assert_eq!(options.resources.processes, Some(8192));
        assert_eq!(options.network, Some(NetworkMode::Open));
    }

    #[test]
    fn a_rule_alone_means_that_nothing_else_is_let_through() {
        let options = resolve(allow("example.com:443"), &Config::default(), &EnvOptions::default());
        assert_eq!(options.network, Some(NetworkMode::Allowlist));
        assert_eq!(validate(&options).unwrap().allow.len(), 1);
    }

    #[test]
    fn nonsense_is_refused_before_anything_is_made() {
        let with = |f: fn(&mut EnvOptions)| {
            let mut options = EnvOptions::default();
            f(&mut options);
            validate(&options).unwrap_err()
        };
        assert_eq!(with(|o| o.grants = vec!["everything".into()]).exit, 2);
        assert_eq!(with(|o| o.resources.cpus = Some(0.0)).exit, 2);
        assert_eq!(with(|o| o.resources.memory = Some(1)).exit, 2);
        assert_eq!(with(|o| o.allow = vec!["http://x/".into()]).code, "network.rule_invalid");
        assert_eq!(with(|o| drop(o.variables.insert("A=B".into(), String::new()))).exit, 2);
    }
}
