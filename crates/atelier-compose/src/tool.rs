//! Compose's own implementation as the loader: `docker compose`, `docker-compose`, or a named one.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::command::{self, Said, Silent};
use crate::complaint;
use crate::error::{ComposeError, Result};
use crate::model::{Model, plain_with_keys};
use crate::project;
use crate::request::{Request, find};

/// To say its version, on a loaded machine.
const VERSION_LIMIT: Duration = Duration::from_secs(20);
/// To load a project; an `include` may fetch.
const LOAD_LIMIT: Duration = Duration::from_secs(60);

/// An external Compose of version 2 or newer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// How it is called.
    pub argv: Vec<OsString>,
    /// As it says itself, such as `2.40.3`.
    pub version: String,
}

impl Tool {
    /// The named program; without, `docker compose` and then `docker-compose` of the folders of
    /// `path`. None: there is none.
    ///
    /// # Errors
    /// `ToolTooOld` when the only one is Compose 1, `ToolMissing` when the named one is none.
    pub fn detect(explicit: Option<&Path>, path: &OsStr) -> Result<Option<Self>> {
        if let Some(program) = explicit {
            let program = in_path(program, path).unwrap_or_else(|| program.to_owned());
            let argv = vec![program.into_os_string()];
            let why = match ask(&argv) {
                Ok(version) => return Self::new(argv, version).map(Some),
                Err(why) => why,
            };
            return Err(ComposeError::ToolMissing { tool: shown(&argv), why });
        }
        let mut old = None;
        for words in [&["docker", "compose"][..], &["docker-compose"]] {
            let Some(program) = in_path(Path::new(words[0]), path) else { continue };
            let mut argv = vec![program.into_os_string()];
            argv.extend(words[1..].iter().map(OsString::from));
            if let Ok(version) = ask(&argv) {
                match Self::new(argv, version) {
                    Ok(tool) => return Ok(Some(tool)),
                    Err(e) => old = Some(e),
                }
            }
        }
        old.map_or(Ok(None), Err)
    }

    fn new(argv: Vec<OsString>, version: String) -> Result<Self> {
        let major = version.split('.').next().and_then(|m| m.parse::<u32>().ok());
        match major {
            Some(0 | 1) => Err(ComposeError::ToolTooOld { tool: shown(&argv), version }),
            _ => Ok(Self { argv, version }),
        }
    }

    /// The arguments before a command of Compose that make it see this project.
    ///
    /// # Errors
    /// As [`find`]; `NoProject` when there are no files.
    pub fn arguments(&self, request: &Request) -> Result<Vec<OsString>> {
        let files = find(request)?
            .ok_or_else(|| ComposeError::NoProject { folder: request.folder.clone() })?;
        let mut argv = self.argv.clone();
        let mut add = |option: &str, value: &OsStr| {
            argv.push(option.into());
            argv.push(value.to_owned());
        };
        files.iter().for_each(|f| add("--file", f.as_os_str()));
        request.env_files.iter().for_each(|f| add("--env-file", f.as_os_str()));
        request.profiles.iter().for_each(|p| add("--profile", OsStr::new(p)));
        if !request.project_name.is_empty() {
            add("--project-name", OsStr::new(&request.project_name));
        }
        Ok(argv)
    }

    pub(crate) fn load(&self, request: &Request) -> Result<Model> {
        let bad = |e: &dyn std::fmt::Display| ComposeError::ToolFailed {
            tool: shown(&self.argv),
            why: format!("its output cannot be read: {e}"),
        };
        let json = self.config(request, "json")?;
        let mut value: Value = serde_json::from_slice(&json).map_err(|e| bad(&e))?;
        let services = value.get("services").and_then(Value::as_object);
        if services.is_some_and(|s| s.values().any(|s| s.get("models").is_some()))
            && value.get("models").is_none()
        {
            // As JSON it leaves this section out.
            let yaml = self.config(request, "yaml")?;
            let all: Value =
                serde_saphyr::from_slice(&yaml).map_err(|e| bad(&e.without_snippet()))?;
            value["models"] = all.get("models").cloned().unwrap_or_default();
        }
        let mut value = plain_with_keys(&value);
        mend(&mut value);
        Ok(Model(value))
    }

    /// What `config` writes.
    fn config(&self, request: &Request, format: &str) -> Result<Vec<u8>> {
        let mut argv = self.arguments(request)?;
        argv.extend(["config", "--format", format].map(OsString::from));
        let said = self.run(&argv, request)?;
        if said.good {
            return Ok(said.out);
        }
        if said.err.contains("out of memory") {
            let why = "it needs more than 2 GiB of memory for these files".to_owned();
            return Err(ComposeError::ToolFailed { tool: shown(&self.argv), why });
        }
        Err(complaint::read(&said.err, &find(request)?.unwrap_or_default()))
    }

    fn run(&self, argv: &[OsString], request: &Request) -> Result<Said> {
        let variables = project::environment(request)?;
        let tool = || shown(&self.argv);
        command::run(argv, &request.folder, Some(&variables), LOAD_LIMIT).map_err(|e| match e {
            Silent::TimedOut => {
                ComposeError::ToolTimeout { tool: tool(), seconds: LOAD_LIMIT.as_secs() }
            }
            Silent::Io(e) => ComposeError::ToolFailed { tool: tool(), why: e.to_string() },
        })
    }
}

/// Compose writes the devices of `blkio_config` with capitals that it does not read.
fn mend(model: &mut Value) {
    let services = model.get_mut("services").and_then(Value::as_object_mut);
    let limits = services.into_iter().flatten().filter_map(|(_, s)| s.get_mut("blkio_config"));
    for devices in limits.filter_map(Value::as_object_mut).flat_map(|l| l.values_mut()) {
        for device in devices.as_array_mut().into_iter().flatten() {
            let Some(map) = device.as_object_mut() else { continue };
            *map = std::mem::take(map).into_iter().map(|(k, v)| (k.to_lowercase(), v)).collect();
        }
    }
}

/// The version that a program says it is; else what it said instead.
fn ask(argv: &[OsString]) -> Result<String, String> {
    let mut argv = argv.to_vec();
    argv.extend(["version", "--short"].map(OsString::from));
    let said = command::run(&argv, Path::new("/"), None, VERSION_LIMIT).map_err(|e| match e {
        Silent::Io(e) => e.to_string(),
        Silent::TimedOut => format!("no answer within {} seconds", VERSION_LIMIT.as_secs()),
    })?;
    let text = String::from_utf8_lossy(&said.out);
    let version = text.trim().trim_start_matches('v');
    if said.good && version.starts_with(|c: char| c.is_ascii_digit()) && !version.contains('\n') {
        return Ok(version.to_owned());
    }
    let words = if said.err.trim().is_empty() { version } else { said.err.trim() };
    Err(format!("`version --short` says {:?}", words.lines().next().unwrap_or_default()))
}

/// The program in the folders of `path`, unless it is named with its folder.
fn in_path(program: &Path, path: &OsStr) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return None;
    }
    let runs = |p: &PathBuf| {
        p.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(path).map(|folder| folder.join(program)).find(runs)
}

fn shown(argv: &[OsString]) -> String {
    let words: Vec<_> = argv.iter().map(|a| a.to_string_lossy()).collect();
    words.join(" ")
}
