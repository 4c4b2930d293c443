//! The values of a mapping, each in the type that is asked for.

use atelier_api::nearest;
use atelier_yaml::{Key, Node, Yaml};

use super::Reader;

/// The entries of a mapping, and where it is.
pub(crate) struct Fields<'n> {
    entries: &'n [(Key, Node)],
    node: &'n Node,
    at: String,
}

impl<'n> Fields<'n> {
    /// The value of a key that says anything.
    pub(crate) fn get(&self, name: &str) -> Option<&'n Node> {
        let found = self.entries.iter().find(|(key, _)| key.name == name);
        found.map(|(_, node)| node).filter(|node| node.value != Yaml::Null)
    }

    /// The key's whole path.
    pub(crate) fn path(&self, name: &str) -> String {
        if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) }
    }

    /// The mapping itself.
    pub(crate) const fn node(&self) -> &'n Node {
        self.node
    }
}

impl Reader<'_> {
    /// A mapping with any keys.
    pub(crate) fn open_map<'n>(&mut self, node: &'n Node, at: &str) -> Option<Fields<'n>> {
        let Yaml::Map(entries) = &node.value else {
            self.wrong(node, at, "a mapping");
            return None;
        };
        Some(Fields { entries, node, at: at.to_owned() })
    }

    /// A mapping whose keys are all known: those of ATK, and those that `atelier/1` adds.
    pub(crate) fn map<'n>(
        &mut self,
        node: &'n Node,
        at: &str,
        known: &[&str],
        ours: &[&str],
    ) -> Option<Fields<'n>> {
        let fields = self.open_map(node, at)?;
        for (key, _) in fields.entries {
            let name = key.name.as_str();
            if known.contains(&name) || self.ours && ours.contains(&name) {
                continue;
            }
            let path = fields.path(name);
            if ours.contains(&name) {
                let hint = "write `schema_version: atelier/1` to use it";
                let message = "this key is of schema atelier/1".to_owned();
                self.find_at(key.place, &path, message, Some(hint));
            } else {
                let hint = did_you_mean(name, known.iter().chain(ours));
                self.find_at(key.place, &path, "no such key".to_owned(), hint.as_deref());
            }
        }
        Some(fields)
    }

    /// A mapping below a key, when it is there.
    pub(crate) fn child<'n>(
        &mut self,
        fields: &Fields<'n>,
        name: &str,
        known: &[&str],
        ours: &[&str],
    ) -> Option<Fields<'n>> {
        let node = fields.get(name)?;
        self.map(node, &fields.path(name), known, ours)
    }

    /// A text, when it is there.
    pub(crate) fn text(&mut self, fields: &Fields<'_>, name: &str) -> Option<String> {
        let node = fields.get(name)?;
        self.text_of(node, &fields.path(name))
    }

    pub(crate) fn text_of(&mut self, node: &Node, at: &str) -> Option<String> {
        match &node.value {
            Yaml::Text(text) => return Some(text.clone()),
            Yaml::Bool(_) | Yaml::Int(_) | Yaml::Float(_) => {
                let hint = Some("put it in quotes: YAML takes it for a number or a boolean");
                self.find(node, at, "must be a text".to_owned(), hint);
            }
            _ => self.wrong(node, at, "a text"),
        }
        None
    }

    /// A text that must be there.
    pub(crate) fn required(&mut self, fields: &Fields<'_>, name: &str) -> Option<String> {
        if fields.get(name).is_none() {
            let path = fields.path(name);
            self.find(fields.node(), &path, "is missing".to_owned(), None);
            return None;
        }
        self.text(fields, name)
    }

    /// A boolean; words that say one count.
    pub(crate) fn flag(&mut self, fields: &Fields<'_>, name: &str) -> Option<bool> {
        let node = fields.get(name)?;
        match &node.value {
            Yaml::Bool(value) => return Some(*value),
            Yaml::Text(text) if ["yes", "on", "true"].contains(&text.as_str()) => {
                return Some(true);
            }
            Yaml::Text(text) if ["no", "off", "false"].contains(&text.as_str()) => {
                return Some(false);
            }
            _ => self.wrong(node, &fields.path(name), "true or false"),
        }
        None
    }

    /// A whole number between two bounds; a text of digits counts.
    pub(crate) fn number(
        &mut self,
        fields: &Fields<'_>,
        name: &str,
        (low, high): (i64, i64),
    ) -> Option<i64> {
        let node = fields.get(name)?;
        let value = match &node.value {
            Yaml::Int(value) => Some(*value),
            Yaml::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        let found = value.filter(|value| (low..=high).contains(value));
        if found.is_none() {
            let what = format!("a whole number from {low} to {high}");
            self.wrong(node, &fields.path(name), &what);
        }
        found
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, fields: &Fields<'_>, name: &str) -> Vec<String> {
        self.list(fields, name, Self::text_of)
    }

    /// A list of whatever `item` reads.
    pub(crate) fn list<T>(
        &mut self,
        fields: &Fields<'_>,
        name: &str,
        mut item: impl FnMut(&mut Self, &Node, &str) -> Option<T>,
    ) -> Vec<T> {
        let Some(node) = fields.get(name) else { return Vec::new() };
        let path = fields.path(name);
        let Yaml::List(items) = &node.value else {
            self.wrong(node, &path, "a list");
            return Vec::new();
        };
        let numbered = items.iter().enumerate();
        numbered.filter_map(|(n, node)| item(self, node, &format!("{path}[{n}]"))).collect()
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        fields: &Fields<'_>,
        name: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text(fields, name)?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let all: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            let node = fields.get(name).unwrap_or(fields.node());
            let message = format!("`{text}` is none of {}", all.join(", "));
            self.find(
                node,
                &fields.path(name),
                message,
                did_you_mean(&text, all.iter()).as_deref(),
            );
        }
        found.map(|(_, value)| *value)
    }

    /// A time such as `10s`.
    pub(crate) fn span(&mut self, fields: &Fields<'_>, name: &str) -> Option<std::time::Duration> {
        let text = self.text(fields, name)?;
        let span = crate::parse_span(&text);
        if span.is_none() {
            let node = fields.get(name).unwrap_or(fields.node());
            self.wrong(node, &fields.path(name), "a time such as 500ms, 10s or 5m");
        }
        span
    }

    pub(crate) fn wrong(&mut self, node: &Node, at: &str, what: &str) {
        self.find(node, at, format!("must be {what}"), None);
    }
}

/// The known word that was probably meant.
fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a &'a str>) -> Option<String> {
    nearest(word, known.copied()).map(|meant| format!("did you mean `{meant}`?"))
}
