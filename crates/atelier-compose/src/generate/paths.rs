//! Paths of the project that must point into the environment's copy of it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::scope::Scope;

/// The project's folder and the copy that stands for it.
pub(crate) struct Folders {
    from: Vec<PathBuf>,
    to: PathBuf,
}

impl Folders {
    pub(crate) fn new(scope: &Scope) -> Self {
        if scope.root.as_os_str().is_empty() {
            return Self { from: Vec::new(), to: PathBuf::new() };
        }
        let mut from = vec![scope.root.clone()];
        // The tool may say the folder as the system knows it, without symbolic links.
        from.extend(scope.root.canonicalize().ok().filter(|c| *c != scope.root));
        Self { from, to: scope.tree.clone() }
    }

    /// The copy's path; None when the path is elsewhere, or none at all.
    pub(crate) fn mapped(&self, path: &str) -> Option<String> {
        let path = Path::new(path);
        // What stands in the copy already stays, even when the copy is inside of the project.
        if !path.is_absolute() || path.starts_with(&self.to) {
            return None;
        }
        let rest = self.from.iter().find_map(|root| path.strip_prefix(root).ok())?;
        let new = if rest.as_os_str().is_empty() { self.to.clone() } else { self.to.join(rest) };
        new.into_os_string().into_string().ok()
    }

    /// Rewrites a text in place.
    pub(crate) fn map(&self, value: &mut Value) {
        if let Some(new) = value.as_str().and_then(|path| self.mapped(path)) {
            *value = Value::String(new);
        }
    }

    /// Rewrites every path of a service.
    pub(crate) fn service(&self, service: &mut Value) {
        for volume in items(service, "volumes") {
            if volume["type"] == "bind" {
                self.at(volume, "source");
            }
        }
        if let Some(build) = service.get_mut("build") {
            self.build(build);
        }
        for key in ["env_file", "label_file"] {
            for file in items(service, key) {
                if file.is_string() { self.map(file) } else { self.at(file, "path") }
            }
        }
        if let Some(develop) = service.get_mut("develop") {
            items(develop, "watch").for_each(|rule| self.at(rule, "path"));
        }
        if let Some(credentials) = service.get_mut("credential_spec") {
            self.at(credentials, "file");
        }
        if let Some(parent) = service.get_mut("extends") {
            self.at(parent, "file");
        }
    }

    fn build(&self, build: &mut Value) {
        if build.is_string() {
            return self.map(build);
        }
        self.at(build, "context");
        self.at(build, "dockerfile");
        match build.get_mut("additional_contexts") {
            Some(Value::Object(contexts)) => contexts.values_mut().for_each(|c| self.map(c)),
            Some(Value::Array(contexts)) => contexts.iter_mut().for_each(|c| self.pair(c)),
            _ => {}
        }
        match build.get_mut("ssh") {
            Some(Value::Object(keys)) => keys.values_mut().for_each(|k| self.map(k)),
            Some(Value::Array(keys)) => keys.iter_mut().for_each(|k| self.pair(k)),
            _ => {}
        }
    }

    /// `name=path`.
    fn pair(&self, value: &mut Value) {
        let new = value.as_str().and_then(|text| {
            let (name, path) = text.split_once('=')?;
            Some(format!("{name}={}", self.mapped(path)?))
        });
        if let Some(new) = new {
            *value = Value::String(new);
        }
    }

    /// Rewrites the text of a key, when it is there.
    pub(crate) fn at(&self, value: &mut Value, key: &str) {
        if let Some(inner) = value.get_mut(key) {
            self.map(inner);
        }
    }
}

/// The items of a list inside a value.
pub(crate) fn items<'a>(value: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    value.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}
