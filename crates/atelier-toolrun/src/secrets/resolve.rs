//! What a tool gets in its environment, and where each value comes from.
//!
//! As ATK does it, a service (`start`, `stop`, `install`, `run`) gets: a setting, else what the caller's own
//! environment says, else the plugin's default. A server that an agent starts gets: a setting, else the
//! default, else the environment, because an agent's environment is nobody's choice; and of an empty
//! setting the server gets the default. Only variables that the plugin declares are looked up in the
//! caller's environment here.

use std::collections::BTreeMap;

use atelier_plugin::{Plugin, Variable};
use schemars::JsonSchema;
use serde::Serialize;

use super::error::{Error, Result};
use super::key::Keys;
use super::store::{Opened, Settings};
use super::{Masker, Secret};
use crate::{Home, Slug};

/// Who gets the variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Commands of the tool's life, and its service.
    Service,
    /// The MCP server.
    Server,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// `values/` or `secrets/` of the home.
    Setting,
    /// The environment of the command.
    Environment,
    /// The plugin.
    Default,
}

/// One variable with its value.
#[derive(Debug, Clone)]
pub struct Value {
    /// The value, secret or not.
    pub text: Secret,
    /// Whether it must not be shown.
    pub secret: bool,
    /// Where it comes from.
    pub origin: Origin,
}

/// One variable as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// The value; of a secret only a hint such as `••••9f3a`.
    pub value: Option<String>,
    /// Whether it is a secret.
    pub secret: bool,
    /// Whether nothing runs without it.
    pub required: bool,
    /// Where the value comes from.
    pub origin: Option<Origin>,
}

/// The variables of a tool.
#[derive(Debug, Clone)]
pub struct Variables {
    slug: Slug,
    /// By name; those without a value are absent.
    pub values: BTreeMap<String, Value>,
    /// Required ones that have none.
    pub missing: Vec<String>,
    declared: Vec<Variable>,
}

/// Finds the variables of a tool. `process` is the environment of the command.
///
/// # Errors
/// [`Error::Sealed`] when a secret that is needed was sealed for other machines; [`Error::Format`].
pub fn resolve(
    home: &Home,
    slug: &Slug,
    plugin: &Plugin,
    purpose: Purpose,
    process: impl Fn(&str) -> Option<String>,
) -> Result<Variables> {
    let settings = Settings::load(home, slug)?;
    let sealed = settings.names().any(|(_, sealed)| sealed);
    // Without secrets no key is read: a home that has none works without one.
    let keys = if sealed { Keys::load(home)? } else { None };
    let opened = settings.open(home, slug, keys.as_ref())?;
    if !opened.closed.is_empty() {
        // Made here, so that the hint can say what the other machine has to add.
        let own = Keys::load_or_make(home)?.recipient();
        return Err(Error::Sealed { slug: slug.clone().into(), names: opened.closed, own });
    }
    let mut values = BTreeMap::new();
    for variable in &plugin.env_vars {
        let found = one(variable, &settings, &opened, purpose, &process);
        values.extend(found.map(|value| (variable.name.clone(), value)));
    }
    undeclared(plugin, &settings, &opened, &mut values);
    let missing = plugin.env_vars.iter().filter(|v| v.required && !values.contains_key(&v.name));
    Ok(Variables {
        missing: missing.map(|v| v.name.clone()).collect(),
        slug: slug.clone(),
        values,
        declared: plugin.env_vars.clone(),
    })
}

fn one(
    variable: &Variable,
    settings: &Settings,
    opened: &Opened,
    purpose: Purpose,
    process: &impl Fn(&str) -> Option<String>,
) -> Option<Value> {
    let name = variable.name.as_str();
    let sealed = opened.secrets.get(name).cloned();
    let is_sealed = sealed.is_some();
    let value = |text, origin| Value { text, secret: variable.secret || is_sealed, origin };
    let setting = sealed.or_else(|| settings.plain(name).map(Secret::new));
    let setting = setting.filter(|text| purpose == Purpose::Service || !text.is_empty());
    let around = || process(name).filter(|text| !text.is_empty()).map(Secret::new);
    let default = || variable.default.clone().filter(|text| !text.is_empty()).map(Secret::new);
    let from_environment = || around().map(|text| value(text, Origin::Environment));
    let from_default = || default().map(|text| value(text, Origin::Default));
    let set = setting.map(|text| value(text, Origin::Setting));
    match purpose {
        Purpose::Service => set.or_else(from_environment).or_else(from_default),
        Purpose::Server => set.or_else(from_default).or_else(from_environment),
    }
}

/// Settings that the plugin does not declare, such as those of an ATK `.env`.
fn undeclared(
    plugin: &Plugin,
    settings: &Settings,
    opened: &Opened,
    values: &mut BTreeMap<String, Value>,
) {
    for (name, sealed) in settings.names() {
        if plugin.variable(name).is_some() {
            continue;
        }
        let text = match sealed {
            true => opened.secrets.get(name).cloned(),
            false => settings.plain(name).map(Secret::new),
        };
        let value = text.map(|text| Value { text, secret: sealed, origin: Origin::Setting });
        values.extend(value.map(|value| (name.to_owned(), value)));
    }
}

impl Variables {
    /// None at all.
    #[must_use]
    pub fn none(slug: &Slug) -> Self {
        let (values, missing, declared) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { slug: slug.clone(), values, missing, declared }
    }

    /// Leaves only those of these names. As ATK has it, one that the plugin does not declare is required.
    pub fn keep_only(&mut self, names: &[String]) {
        self.values.retain(|name, _| names.contains(name));
        self.missing.retain(|name| names.contains(name));
        self.declared.retain(|variable| names.contains(&variable.name));
        let declared = |name: &&String| self.declared.iter().any(|v| v.name == **name);
        let lacking =
            names.iter().filter(|name| !declared(name) && !self.values.contains_key(*name));
        self.missing.extend(lacking.cloned().collect::<Vec<_>>());
    }

    /// Refuses to go on without what is required.
    ///
    /// # Errors
    /// [`Error::Missing`] with all that are missing.
    pub fn check(&self) -> Result<()> {
        match self.missing.is_empty() {
            true => Ok(()),
            false => {
                let slug = self.slug.clone().into();
                Err(Error::Missing { slug, names: self.missing.clone() })
            }
        }
    }

    /// A masker that knows every secret among them.
    #[must_use]
    pub fn masker(&self) -> Masker {
        let secrets = self.values.values().filter(|value| value.secret);
        Masker::new(secrets.map(|value| &value.text))
    }

    /// The text of one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.values.get(name).map(|value| &value.text)
    }

    /// All that are declared, and then the others, as they may be shown.
    #[must_use]
    pub fn shown(&self) -> Vec<Shown> {
        let line = |name: &str, secret: bool, required: bool| {
            let value = self.values.get(name);
            let secret = secret || value.is_some_and(|value| value.secret);
            let text = value.map(|value| match secret {
                true => value.text.hint(),
                false => value.text.expose().to_owned(),
            });
            let origin = value.map(|value| value.origin);
            Shown { name: name.to_owned(), value: text, secret, required, origin }
        };
        let declared = self.declared.iter().map(|v| line(&v.name, v.secret, v.required));
        let is_declared = |name: &str| self.declared.iter().any(|v| v.name == name);
        let others = self.values.keys().filter(|name| !is_declared(name));
        declared.chain(others.map(|name| line(name, false, false))).collect()
    }
}
