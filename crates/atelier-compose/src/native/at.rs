//! Where the reader is: file and key, for errors; and the scalars of Compose's schema.

use std::path::Path;

use serde_json::{Value, json};

use super::yaml::{Key, Node, Place, Yaml};
use crate::error::{ComposeError, Result};

/// A place in a file, with the path of its key.
#[derive(Debug, Clone)]
pub(crate) struct At<'a> {
    pub file: &'a Path,
    pub key: String,
    pub place: Place,
}

impl<'a> At<'a> {
    pub(crate) fn top(file: &'a Path) -> Self {
        Self { file, key: String::new(), place: (1, 1) }
    }

    /// One key down.
    pub(crate) fn down(&self, name: &str, place: Place) -> Self {
        let key =
            if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) };
        Self { file: self.file, key, place }
    }

    pub(crate) fn invalid(&self, message: impl std::fmt::Display) -> ComposeError {
        ComposeError::Invalid {
            file: Some(self.file.to_owned()),
            line: Some(self.place.0),
            column: Some(self.place.1),
            message: format!("{}: {message}", self.key),
        }
    }

    pub(crate) fn unsupported(&self, why: &str) -> ComposeError {
        ComposeError::Unsupported {
            file: Some(self.file.to_owned()),
            line: Some(self.place.0),
            key: self.key.clone(),
            why: why.to_owned(),
            install: true,
        }
    }

    /// A key that the common subset does not have.
    pub(crate) fn unknown(&self) -> ComposeError {
        self.unsupported("the built-in loader does not know it")
    }

    /// The entries of a mapping; `x-` keys are left out.
    pub(crate) fn map<'n>(&self, node: &'n Node) -> Result<Vec<(&'n Key, &'n Node)>> {
        match &node.value {
            Yaml::Map(entries) => Ok(entries
                .iter()
                .map(|(k, n)| (k, n))
                .filter(|(k, _)| !extension(&k.name))
                .collect()),
            _ => Err(self.invalid("must be a mapping")),
        }
    }

    /// The entries of a mapping whose keys are the user's own names, so that `x-` is one too.
    pub(crate) fn names<'n>(&self, node: &'n Node) -> Result<Vec<(&'n Key, &'n Node)>> {
        match &node.value {
            Yaml::Map(entries) => Ok(entries.iter().map(|(k, n)| (k, n)).collect()),
            _ => Err(self.invalid("must be a mapping")),
        }
    }

    /// The items of a list, each once.
    pub(crate) fn list<'n>(&self, node: &'n Node) -> Result<&'n [Node]> {
        let Yaml::List(items) = &node.value else { return Err(self.invalid("must be a list")) };
        for (index, item) in items.iter().enumerate() {
            if items[..index].iter().any(|other| same(&other.value, &item.value)) {
                return Err(self
                    .down(&index.to_string(), item.place)
                    .unsupported("it is there twice"));
            }
        }
        Ok(items)
    }

    /// A text and nothing that only looks like one.
    pub(crate) fn text<'n>(&self, node: &'n Node) -> Result<&'n str> {
        match &node.value {
            Yaml::Text(text) => Ok(text),
            _ => Err(self.invalid("must be a string")),
        }
    }

    /// A list of texts.
    pub(crate) fn texts(&self, node: &Node) -> Result<Vec<String>> {
        let items = self.list(node)?.iter().enumerate();
        items.map(|(i, n)| self.down(&i.to_string(), n.place).text(n).map(str::to_owned)).collect()
    }

    /// A text, or a number or a truth value written as one.
    pub(crate) fn scalar(&self, node: &Node) -> Result<String> {
        match &node.value {
            Yaml::Text(text) => Ok(text.clone()),
            Yaml::Int(number) => Ok(number.to_string()),
            Yaml::Bool(truth) => Ok(truth.to_string()),
            Yaml::Float(number) if number.is_finite() && (1e-3..1e15).contains(&number.abs()) => {
                Ok(number.to_string())
            }
            Yaml::Float(_) => Err(self.unsupported("a number of this size; put it in quotes")),
            _ => Err(self.invalid("must be a string or a number")),
        }
    }

    pub(crate) fn truth(&self, node: &Node) -> Result<bool> {
        match &node.value {
            Yaml::Bool(truth) => Ok(*truth),
            Yaml::Text(text) if text == "true" => Ok(true),
            Yaml::Text(text) if text == "false" => Ok(false),
            _ => Err(self.invalid("must be true or false")),
        }
    }

    pub(crate) fn count(&self, node: &Node) -> Result<u64> {
        let number = match &node.value {
            Yaml::Int(number) => u64::try_from(*number).ok(),
            Yaml::Text(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| self.invalid("must be a number that is not negative"))
    }

    /// A mapping of names to scalars, also as a list of `name=value`. None: a name alone.
    pub(crate) fn pairs(&self, node: &Node) -> Result<Vec<(String, Option<String>)>> {
        if let Yaml::Map(entries) = &node.value {
            return entries
                .iter()
                .map(|(key, value)| {
                    let at = self.down(&key.name, value.place);
                    let none = value.value == Yaml::Null;
                    let text = if none { None } else { Some(at.scalar(value)?) };
                    Ok((key.name.clone(), text))
                })
                .collect();
        }
        Ok(self
            .texts(node)?
            .iter()
            .map(|pair| match pair.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (pair.clone(), None),
            })
            .collect())
    }

    /// The same as an object in which a name alone is the empty text.
    pub(crate) fn labels(&self, node: &Node) -> Result<Value> {
        let pairs = self.pairs(node)?;
        Ok(pairs
            .into_iter()
            .map(|(k, v)| (k, json!(v.unwrap_or_default())))
            .collect::<serde_json::Map<_, _>>()
            .into())
    }
}

pub(crate) fn extension(name: &str) -> bool {
    name.starts_with("x-")
}

/// Places don't count.
fn same(one: &Yaml, other: &Yaml) -> bool {
    match (one, other) {
        (Yaml::List(one), Yaml::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| same(&a.value, &b.value))
        }
        (Yaml::Map(one), Yaml::Map(other)) => {
            one.len() == other.len()
                && one.iter().all(|(k, v)| {
                    other.iter().any(|(k2, v2)| k.name == k2.name && same(&v.value, &v2.value))
                })
        }
        (Yaml::List(_) | Yaml::Map(_), _) | (_, Yaml::List(_) | Yaml::Map(_)) => false,
        (one, other) => one == other,
    }
}
