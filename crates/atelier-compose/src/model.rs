//! A project in Compose's canonical form.

use serde_json::{Map, Value};

use crate::error::{ComposeError, Result};

/// A project as `config --format json` gives it, with each `$` written once.
#[derive(Debug, Clone, PartialEq)]
pub struct Model(pub Value);

static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);

impl Model {
    /// The names of the services, sorted.
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        let mut names: Vec<String> = self.section("services").keys().cloned().collect();
        names.sort();
        names
    }

    /// A top-level section; empty when it is not there.
    pub(crate) fn section(&self, name: &str) -> &Map<String, Value> {
        self.0.get(name).and_then(Value::as_object).unwrap_or(&NONE)
    }

    pub(crate) fn service(&self, name: &str) -> Result<&Value> {
        self.section("services").get(name).ok_or_else(|| ComposeError::NoService {
            service: name.to_owned(),
            services: self.services(),
        })
    }
}

/// The file's values with each `$$` as the `$` that it stands for: what a container gets.
#[must_use]
pub fn plain(file: &Value) -> Value {
    texts(file, &|text| text.replace("$$", "$"), false)
}

/// The same with another text wherever one stands.
pub(crate) fn replaced(value: &Value, from: &str, to: &str) -> Value {
    texts(value, &|text| text.replace(from, to), false)
}

/// The same for the tool's own output, which doubles them in keys too.
pub(crate) fn plain_with_keys(value: &Value) -> Value {
    texts(value, &|text| text.replace("$$", "$"), true)
}

/// Values as a Compose file must hold them, which is read with interpolation.
pub(crate) fn escaped(value: &Value) -> Value {
    texts(value, &|text| text.replace('$', "$$"), false)
}

fn texts(value: &Value, change: &dyn Fn(&str) -> String, keys: bool) -> Value {
    match value {
        Value::String(text) => Value::String(change(text)),
        Value::Array(items) => items.iter().map(|i| texts(i, change, keys)).collect(),
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(k, v)| (if keys { change(k) } else { k.clone() }, texts(v, change, keys)))
                .collect(),
        ),
        other => other.clone(),
    }
}
