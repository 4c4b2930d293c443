//! Servers in a TOML file whose comments and order are the user's.

use serde_json::Value;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value as TomlValue};

use crate::document::Flaw;
use crate::shape::Fields;
use crate::toml_comments::{keep_above, keep_end};

/// A parsed file.
pub(crate) struct Toml {
    document: DocumentMut,
    key: &'static str,
}

impl Toml {
    pub fn parse(text: &str, key: &'static str) -> Result<Self, Flaw> {
        let document: DocumentMut = text.parse().map_err(|e| flaw(text, &e))?;
        if document.get(key).is_some_and(|item| item.as_table_like().is_none()) {
            return Err(Flaw::new(text, key, "a table was expected under this key"));
        }
        Ok(Self { document, key })
    }

    fn servers(&self) -> Option<&dyn TableLike> {
        self.document.get(self.key)?.as_table_like()
    }

    pub fn names(&self) -> Vec<String> {
        let servers = self.servers();
        servers.map(|s| s.iter().map(|(name, _)| name.to_owned()).collect()).unwrap_or_default()
    }

    pub fn entry(&self, server: &str) -> Option<Value> {
        Some(json(self.servers()?.get(server)?))
    }

    /// Writes an entry: a new table at the end, an existing one field by field.
    pub fn put(&mut self, server: &str, fields: &Fields, managed: &[&str]) {
        let servers = self.document.entry(self.key).or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        let inline = servers.is_inline_table();
        let Some(servers) = servers.as_table_like_mut() else { return };
        let fresh = servers.get(server).is_none_or(|item| item.as_table_like().is_none());
        if fresh {
            let empty = match inline {
                true => Item::Value(InlineTable::new().into()),
                false => Item::Table(Table::new()),
            };
            servers.insert(server, empty);
        }
        let Some(item) = servers.get_mut(server) else { return };
        let inline = item.is_inline_table();
        let Some(entry) = item.as_table_like_mut() else { return };
        for (key, value) in fields {
            if entry.get(key).map(json).as_ref() != Some(value) {
                set(entry, key, value, inline);
            }
        }
        for key in managed.iter().filter(|key| !fields.iter().any(|(k, _)| k == *key)) {
            entry.remove(key);
        }
        if fresh {
            keep_end(&mut self.document, self.key, server);
        }
    }

    /// Takes an entry away, and with the last one an empty table that has no comment.
    pub fn take(&mut self, server: &str) {
        keep_above(&mut self.document, self.key, server);
        let Some(servers) = self.document.get_mut(self.key).and_then(Item::as_table_like_mut)
        else {
            return;
        };
        servers.remove(server);
        let empty = servers.is_empty();
        let bare =
            self.document.get(self.key).and_then(Item::as_table).is_none_or(Table::is_implicit);
        if empty && bare {
            self.document.remove(self.key);
        }
    }

    pub fn text(&self) -> String {
        self.document.to_string()
    }
}

/// Sets a field, with the comment behind it kept.
fn set(entry: &mut dyn TableLike, key: &str, value: &Value, inline: bool) {
    if let (Value::Object(map), false) = (value, inline) {
        let mut table = Table::new();
        for (name, text) in map {
            table.insert(name, Item::Value(toml(text)));
        }
        entry.insert(key, Item::Table(table));
        return;
    }
    let mut value = toml(value);
    // In its place, since a key that is inserted loses the comment above it.
    let Some(old) = entry.get_mut(key) else {
        entry.insert(key, Item::Value(value));
        return;
    };
    if let Some(old) = old.as_value() {
        *value.decor_mut() = old.decor().clone();
    }
    *old = Item::Value(value);
}

fn toml(value: &Value) -> TomlValue {
    match value {
        Value::Array(items) => items.iter().map(toml).collect::<Array>().into(),
        Value::Object(map) => {
            map.iter().map(|(k, v)| (k.as_str(), toml(v))).collect::<InlineTable>().into()
        }
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => match n.as_i64() {
            Some(n) => n.into(),
            None => n.as_f64().unwrap_or_default().into(),
        },
        other => other.as_str().unwrap_or_default().into(),
    }
}

fn json(item: &Item) -> Value {
    match item {
        Item::Value(value) => json_of(value),
        Item::Table(table) => table.iter().map(|(k, v)| (k.to_owned(), json(v))).collect(),
        Item::ArrayOfTables(tables) => tables
            .iter()
            .map(|table| table.iter().map(|(k, v)| (k.to_owned(), json(v))).collect::<Value>())
            .collect(),
        Item::None => Value::Null,
    }
}

fn json_of(value: &TomlValue) -> Value {
    match value {
        TomlValue::String(text) => text.value().as_str().into(),
        TomlValue::Integer(n) => (*n.value()).into(),
        TomlValue::Float(n) => (*n.value()).into(),
        TomlValue::Boolean(b) => (*b.value()).into(),
        TomlValue::Datetime(time) => time.value().to_string().into(),
        TomlValue::Array(items) => items.iter().map(json_of).collect(),
        TomlValue::InlineTable(table) => {
            table.iter().map(|(k, v)| (k.to_owned(), json_of(v))).collect()
        }
    }
}

fn flaw(text: &str, error: &toml_edit::TomlError) -> Flaw {
    let start = error.span().map_or(0, |span| span.start);
    let mut flaw = Flaw::at(text, start, "");
    flaw.why = error.message().lines().next().unwrap_or("it is no TOML").to_owned();
    flaw
}
