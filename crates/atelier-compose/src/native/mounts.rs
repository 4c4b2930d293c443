//! Volumes of a service in their short form, `[SOURCE:]TARGET[:MODE]`, and paths.

use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value, json};

use super::at::At;
use super::service::size;
use super::yaml::{Node, Yaml};
use crate::error::Result;

/// Where paths of a project start, and the user's own folder for `~`.
pub(crate) struct Paths<'a> {
    pub directory: &'a Path,
    pub home: Option<&'a str>,
}

impl Paths<'_> {
    /// A path of the project, absolute and without `.` and `..`.
    pub(crate) fn absolute(&self, text: &str) -> Option<String> {
        let path = match text.strip_prefix('~') {
            Some("") => PathBuf::from(self.home?),
            Some(rest) => Path::new(self.home?).join(rest.strip_prefix('/')?),
            None => self.directory.join(text),
        };
        let mut clean = PathBuf::new();
        for part in path.components() {
            match part {
                Component::ParentDir => {
                    clean.pop();
                }
                Component::CurDir => {}
                other => clean.push(other),
            }
        }
        clean.into_os_string().into_string().ok()
    }
}

/// One entry of `volumes:` of a service.
pub(crate) fn read(at: &At<'_>, node: &Node, paths: &Paths<'_>) -> Result<Value> {
    match &node.value {
        Yaml::Text(text) => short(at, text, paths),
        Yaml::Map(_) => long(at, node, paths),
        _ => Err(at.invalid("must be a volume")),
    }
}

fn short(at: &At<'_>, text: &str, paths: &Paths<'_>) -> Result<Value> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, modes) = match parts[..] {
        [target] => (None, target, ""),
        [source, target] => (Some(source), target, ""),
        [source, target, modes] => (Some(source), target, modes),
        _ => return Err(at.unsupported("a volume with this many parts")),
    };
    if text.contains('\\')
        || !target.starts_with('/')
        || target.len() < 2
        || source.is_some_and(str::is_empty)
    {
        return Err(at.unsupported("a volume whose target is no absolute path"));
    }
    // Compose takes one letter for the drive of a Windows path.
    if source.is_some_and(|s| s.len() == 1 && s != "." && s != "/" && s != "~") {
        return Err(at.unsupported("a volume whose name is one letter"));
    }
    let path = source.filter(|s| s.starts_with(['.', '/', '~']));
    let kind = if path.is_some() { "bind" } else { "volume" };
    let source = match (path, source) {
        (Some(path), _) => Some(
            paths
                .absolute(path)
                .ok_or_else(|| at.unsupported("a home folder that is not known"))?,
        ),
        (None, source) => source.map(str::to_owned),
    };
    let mut mount = Map::new();
    mount.insert("type".to_owned(), json!(kind));
    mount.extend(source.map(|s| ("source".to_owned(), json!(s))));
    mount.insert("target".to_owned(), json!(clean_target(at, target)?));
    mount.insert(kind.to_owned(), json!({}));
    for mode in modes.split(',').filter(|m| !m.is_empty()) {
        match mode {
            "ro" => drop(mount.insert("read_only".to_owned(), json!(true))),
            "rw" => {}
            "z" | "Z" if kind == "bind" => mount["bind"]["selinux"] = json!(mode),
            "nocopy" if kind == "volume" => mount["volume"]["nocopy"] = json!(true),
            _ => return Err(at.unsupported("this mode of a volume")),
        }
    }
    Ok(mount.into())
}

fn clean_target(at: &At<'_>, target: &str) -> Result<String> {
    let trimmed = target.trim_end_matches('/');
    if trimmed != target
        || target.split('/').any(|p| p == "." || p == "..")
        || target.contains("//")
    {
        return Err(at.unsupported("a target that is not written plainly"));
    }
    Ok(target.to_owned())
}

fn long(at: &At<'_>, node: &Node, paths: &Paths<'_>) -> Result<Value> {
    let mut out = Map::new();
    for (key, value) in at.map(node)? {
        let at = at.down(&key.name, key.place);
        match key.name.as_str() {
            "type" | "source" => drop(out.insert(key.name.clone(), json!(at.text(value)?))),
            "target" => {
                let target = at.text(value)?;
                if !target.starts_with('/') {
                    return Err(at.unsupported("a target that is no absolute path"));
                }
                out.insert(key.name.clone(), json!(clean_target(&at, target)?));
            }
            "read_only" if at.truth(value)? => drop(out.insert(key.name.clone(), json!(true))),
            "read_only" => {}
            "bind" | "volume" | "tmpfs" => {
                drop(out.insert(key.name.clone(), how(&at, &key.name, value)?));
            }
            _ => return Err(at.unknown()),
        }
    }
    let kind = out.get("type").and_then(Value::as_str).unwrap_or_default();
    if let Some(other) =
        ["bind", "volume", "tmpfs"].iter().find(|k| **k != kind && out.contains_key(**k))
    {
        return Err(at.down(other, at.place).unsupported("for another type of a volume"));
    }
    let source = out.get("source").and_then(Value::as_str).map(str::to_owned);
    let bind = match (out.get("type").and_then(Value::as_str), &source) {
        (Some("bind"), Some(source)) if !source.contains('\\') => true,
        (Some("volume"), _) | (Some("tmpfs"), None) => false,
        _ => return Err(at.unsupported("this type of a volume")),
    };
    if !out.contains_key("target") {
        return Err(at.unsupported("a volume without `target`"));
    }
    if let (true, Some(source)) = (bind, source) {
        let source = paths.absolute(&source);
        let source = source.ok_or_else(|| at.unsupported("a home folder that is not known"))?;
        out.insert("source".to_owned(), json!(source));
    }
    Ok(out.into())
}

/// What is said of one type of a volume.
fn how(at: &At<'_>, kind: &str, node: &Node) -> Result<Value> {
    let mut out = Map::new();
    for (key, value) in at.map(node)? {
        let at = at.down(&key.name, key.place);
        let new = match (kind, key.name.as_str()) {
            ("bind", "create_host_path") => match at.truth(value)? {
                false => json!(false),
                true => continue,
            },
            ("bind", "propagation") => json!(at.text(value)?),
            ("volume", "nocopy") if at.truth(value)? => json!(true),
            ("tmpfs", "size") => size(&at, value)?,
            ("tmpfs", "mode") => json!(at.count(value)?),
            _ => return Err(at.unknown()),
        };
        out.insert(key.name.clone(), new);
    }
    Ok(out.into())
}
