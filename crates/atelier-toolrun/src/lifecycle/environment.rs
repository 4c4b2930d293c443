//! The environment that a tool's commands, service and server get.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::tool::{Kind, Manner, Tool};
use crate::secrets::{ATK_PLUGIN_DIR, TOOL_DIR, Value, Variables};
use crate::{Home, shim};

/// The tool that a process is of. Processes are found by it when nothing else is left of them.
pub(crate) const TOOL: &str = "ATELIER_TOOL";
/// The home that the tool is of.
pub(crate) const HOME: &str = "ATELIER_TOOL_HOME";
/// `service` for what a service consists of, `server` for an agent's MCP server.
pub(crate) const ROLE: &str = "ATELIER_TOOL_ROLE";
/// In that role a process is ended by `stop`.
pub(crate) const SERVICE: &str = "service";
/// In that role it belongs to whoever started it.
pub(crate) const SERVER: &str = "server";

/// Variables with their values.
pub type Environment = BTreeMap<OsString, OsString>;

/// Files of Compose that are found without being named, the first found counts (compose-go's order).
const COMPOSE_FILES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
/// The same for what is laid over it.
const OVERRIDES: [&str; 4] = [
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
];

/// The caller's environment without what is ours, then the tool's variables, then where it is.
pub(crate) fn environment(
    home: &Home,
    tool: &Tool,
    manner: &Manner<'_>,
    variables: &Variables,
    role: &str,
) -> Environment {
    let mut all = outside(manner);
    let texts = variables.values.iter().map(|(name, Value { text, .. })| (name, text.expose()));
    all.extend(texts.map(|(name, text)| (name.into(), text.into())));
    let folder = tool.folder.as_os_str();
    for (name, value) in [
        (ATK_PLUGIN_DIR, folder),
        (TOOL_DIR, folder),
        (TOOL, OsStr::new(tool.slug.as_str())),
        (HOME, home.root().as_os_str()),
        (ROLE, OsStr::new(role)),
        // For the shims, which call us.
        ("ATELIER_BIN", manner.program.as_os_str()),
        ("ATELIER_HOME", home.root().parent().unwrap_or(home.root()).as_os_str()),
    ] {
        all.insert(name.into(), value.to_owned());
    }
    let path = all.get(OsStr::new("PATH")).cloned();
    all.insert("PATH".into(), with_shims(home, path.as_deref()));
    if let Some(files) = compose_files(tool) {
        all.insert("COMPOSE_FILE".into(), files);
        all.insert("COMPOSE_PATH_SEPARATOR".into(), ":".into());
    }
    all
}

/// The caller's environment without our own variables, and without what names another Compose project.
pub(crate) fn outside(manner: &Manner<'_>) -> Environment {
    let mut all = manner.environment.clone();
    all.retain(|name, _| {
        let ours = name.as_encoded_bytes().starts_with(b"ATELIER_");
        !ours && name != "COMPOSE_FILE" && name != "COMPOSE_PROJECT_NAME"
    });
    all
}

/// `npx` and `uvx` of the home come first: they run what the lock pins.
fn with_shims(home: &Home, path: Option<&OsStr>) -> OsString {
    const USUAL: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let path = path.unwrap_or(OsStr::new(USUAL));
    // Without them `npx` and `uvx` themselves are found, which run what is newest.
    let shims = shim::write(home).unwrap_or_else(|_| home.shims());
    let rest = std::env::split_paths(path).filter(|one| *one != shims);
    let all = std::iter::once(shims.clone()).chain(rest);
    std::env::join_paths(all).unwrap_or_else(|_| path.to_owned())
}

/// `COMPOSE_FILE`, where Compose itself would not find all: a file that the plugin names, and the user's
/// `custom/docker-compose.override.yml`. Every `docker compose` of a command reads the variable.
fn compose_files(tool: &Tool) -> Option<OsString> {
    let named = tool.plugin.service.as_ref().and_then(|service| service.compose_file.as_deref());
    let custom = ["docker-compose.override.yml", "docker-compose.override.yaml"]
        .map(|name| tool.folder.join("custom").join(name));
    let custom = custom.into_iter().find(|file| file.exists());
    if named.is_none() && custom.is_none() {
        return None;
    }
    let mut files: Vec<PathBuf> = match named {
        Some(file) => vec![tool.folder.join(file)],
        None => {
            let first =
                |names: &[&str]| names.iter().map(|n| tool.folder.join(n)).find(|f| f.exists());
            vec![first(&COMPOSE_FILES)?].into_iter().chain(first(&OVERRIDES)).collect()
        }
    };
    if tool.kind() != Kind::Compose && !files[0].exists() {
        return None;
    }
    files.extend(custom);
    let texts: Vec<&OsStr> = files.iter().map(|file| file.as_os_str()).collect();
    Some(texts.join(OsStr::new(":")))
}

/// Where a program is that an environment's `PATH` leads to.
pub(crate) fn on_path(program: &str, environment: &Environment) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let runs = |path: &Path| {
        std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| runs(path));
    }
    let path = environment.get(OsStr::new("PATH"))?;
    std::env::split_paths(path).map(|folder| folder.join(program)).find(|path| runs(path))
}
