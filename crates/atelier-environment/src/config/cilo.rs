//! `.cilo/config.yml`: a project that was set up for Cilo is read as it is, when it has no `atelier.yaml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use atelier_api::Name;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::files::{Copy, Files, Render};
use super::{Config, Services};
use crate::error::Result;

/// Where the file lies in a project.
pub(crate) const FILE: &str = ".cilo/config.yml";
/// What Cilo calls environment files.
const ENV_FILES: [&str; 2] = [".env", ".env.*"];

/// The file, as Cilo defines it. Keys that it does not know it ignores.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cilo {
    project: Option<String>,
    compose_files: Vec<PathBuf>,
    env_files: Vec<PathBuf>,
    dns_suffix: Option<String>,
    default_ingress_service: Option<String>,
    hostnames: Vec<String>,
    ignore_dot_dirs: Vec<String>,
    env: Env,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Env {
    copy_mode: Mode,
    copy: Vec<String>,
    ignore: Vec<String>,
    init_hook: Option<String>,
    render: Vec<Rule>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    All,
    None,
    Allowlist,
}

/// A rule without `tokens` replaces none.
#[derive(Debug, Deserialize)]
struct Rule {
    #[serde(default)]
    tokens: bool,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

/// Keys that mean something here; `copy_dot_dirs` does because all folders come along.
const KNOWN: [&str; 10] = [
    "project",
    "compose_files",
    "env_files",
    "dns_suffix",
    "default_ingress_service",
    "hostnames",
    "copy_dot_dirs",
    "ignore_dot_dirs",
    "env",
    "environments",
];

/// Settings from the bytes of the file; `path` is for messages.
pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Config> {
    let cilo: Cilo = super::read::document(bytes, path)?;
    let keys: BTreeMap<String, IgnoredAny> = super::read::document(bytes, path)?;
    let mut notes = Vec::new();
    for key in keys.keys().filter(|key| !KNOWN.contains(&key.as_str())) {
        notes.push(format!("{FILE}: `{key}` means nothing here"));
    }
    if let Some(suffix) = &cilo.dns_suffix {
        let suffix = suffix.trim_start_matches('.');
        notes.push(format!(
            "{FILE}: `dns_suffix: {suffix}` holds when it is set for all projects: ATELIER_DNS_SUFFIX={suffix}"
        ));
    }
    let name = cilo.project.as_deref().and_then(|project| name(project, &mut notes));
    Ok(Config {
        name,
        secrets: cilo.env.init_hook.clone().filter(|hook| !hook.trim().is_empty()),
        services: services(&cilo),
        files: files(&cilo, path)?,
        notes,
        ..Config::default()
    })
}

fn name(project: &str, notes: &mut Vec<String>) -> Option<Name> {
    if let Ok(name) = project.parse() {
        return Some(name);
    }
    let name = Name::slug(project);
    if let Some(name) = &name {
        notes.push(format!("{FILE}: the project {project:?} is called {name} here"));
    }
    name
}

fn services(cilo: &Cilo) -> Services {
    let mut services = Services {
        files: cilo.compose_files.clone(),
        env_files: cilo.env_files.clone(),
        ..Services::default()
    };
    if !cilo.hostnames.is_empty() {
        let service = cilo.default_ingress_service.clone().unwrap_or_default();
        services.hostnames.insert(service, cilo.hostnames.clone());
    }
    services
}

/// Cilo's policy is about environment files only; everything else comes along.
fn files(cilo: &Cilo, path: &Path) -> Result<Files> {
    let mut ignore: Vec<String> =
        cilo.ignore_dot_dirs.iter().map(|dir| format!("/{}/", dir.trim_matches('/'))).collect();
    if cilo.env.copy_mode != Mode::All {
        ignore.extend(ENV_FILES.map(str::to_owned));
    }
    if cilo.env.copy_mode == Mode::Allowlist {
        ignore.extend(cilo.env.copy.iter().map(|glob| format!("!{glob}")));
    }
    ignore.extend(cilo.env.ignore.iter().cloned());
    let rule = |rule: &Rule| -> Result<Render> {
        let mut map = serde_json::Map::from_iter(rule.rest.clone());
        map.insert("tokens".to_owned(), rule.tokens.into());
        serde_json::from_value(map.into())
            .map_err(|e| super::read::bad(path, &format!("`env.render`: {e}")))
    };
    let render = cilo.env.render.iter().map(rule).collect::<Result<_>>()?;
    Ok(Files { copy: Copy::All, ignore, render })
}
