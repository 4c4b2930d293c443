//! Secrets and configs: files of the project are mounted, what is made of variables is put in.

use bollard_stubs::models::{Mount, MountType};
use serde_json::Value;

use super::Top;
use super::service::{Service, scalar};
use crate::error::{ComposeError, Result};

/// Whoever may read what is put in, when nothing is said.
const MODE: u32 = 0o444;

/// A file to be put into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Where, absolute.
    pub path: String,
    /// What is in it.
    pub contents: Vec<u8>,
    /// Its owner.
    pub uid: u64,
    /// Its group.
    pub gid: u64,
    /// Its permissions.
    pub mode: u32,
}

/// What is mounted, and what is put in.
pub(super) fn of(service: &Service<'_>, top: &Top<'_>) -> Result<(Vec<Mount>, Vec<Put>)> {
    let (mut mounts, mut files) = (Vec::new(), Vec::new());
    for (section, folder) in [("secrets", "/run/secrets/"), ("configs", "/")] {
        for used in service.get(section).and_then(Value::as_array).into_iter().flatten() {
            service.only(section, used, &["source", "target", "uid", "gid", "mode"])?;
            let source = used.as_str().or_else(|| used.get("source")?.as_str());
            let source = source.ok_or_else(|| service.refuse(section, "one has no source"))?;
            let target = used.get("target").and_then(Value::as_str).unwrap_or(source);
            let path = if target.starts_with('/') {
                target.to_owned()
            } else {
                format!("{folder}{target}")
            };
            let entry = top.section(section).get(source).unwrap_or(&Value::Null);
            match entry.get("file").and_then(Value::as_str) {
                Some(file) => mounts.push(mount(file, path)),
                None => {
                    let contents = contents(top, section, source, entry)?;
                    files.push(put(service, section, used, path, contents)?);
                }
            }
        }
    }
    if !files.is_empty() && service.flag("read_only") == Some(true) {
        return Err(service.refuse("read_only", "its secrets and configs would have to be files"));
    }
    Ok((mounts, files))
}

fn mount(file: &str, path: String) -> Mount {
    Mount {
        target: Some(path),
        source: Some(file.to_owned()),
        typ: Some(MountType::BIND),
        read_only: Some(true),
        ..Mount::default()
    }
}

fn contents(top: &Top<'_>, section: &str, key: &str, entry: &Value) -> Result<Vec<u8>> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    if let Some(content) = text("content") {
        return Ok(content.as_bytes().to_vec());
    }
    let Some(variable) = text("environment") else {
        let why = "one engine alone keeps none: it needs `file`, `environment` or `content`";
        return Err(ComposeError::impossible(format!("{section}.{key}"), why));
    };
    match top.variables.get(variable) {
        Some(value) => Ok(value.as_bytes().to_vec()),
        None => Err(ComposeError::invalid(format!(
            "{section}.{key}: the variable {variable} is not set: pass it with --env {variable}=..."
        ))),
    }
}

fn put(
    service: &Service<'_>,
    section: &str,
    used: &Value,
    path: String,
    contents: Vec<u8>,
) -> Result<Put> {
    let number = |key: &str| -> Result<u64> {
        let Some(text) = used.get(key).and_then(scalar) else { return Ok(0) };
        text.parse().map_err(|_| service.refuse(&format!("{section}.{key}"), "it is no number"))
    };
    // The canonical form has it as a text of octal digits.
    let mode = match used.get("mode") {
        None | Some(Value::Null) => MODE,
        Some(Value::Number(mode)) => {
            mode.as_u64().and_then(|m| u32::try_from(m).ok()).unwrap_or(MODE)
        }
        Some(mode) => {
            let text = mode.as_str().unwrap_or_default().trim_start_matches("0o");
            let read = u32::from_str_radix(text, 8);
            read.map_err(|_| service.refuse(&format!("{section}.mode"), "it is no mode"))?
        }
    };
    Ok(Put { path, contents, uid: number("uid")?, gid: number("gid")?, mode: mode & 0o7777 })
}
