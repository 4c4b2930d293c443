//! Servers in a JSON file whose comments, order, indentation and line ends are the user's.

use jsonc_parser::cst::{CstInputValue, CstNewlineKind, CstObject, CstObjectProp, CstRootNode};
use jsonc_parser::{ParseOptions, errors::ParseError};
use serde_json::Value;

use crate::cut::cut;
use crate::document::Flaw;
use crate::shape::Fields;

/// A parsed file.
pub(crate) struct Json {
    root: CstRootNode,
    key: &'static str,
    /// One step of indentation.
    step: String,
    /// A program wrote it without any space.
    dense: bool,
}

impl Json {
    pub fn parse(text: &str, key: &'static str) -> Result<Self, Flaw> {
        let root = CstRootNode::parse(text, &options()).map_err(|e| flaw(&e))?;
        let object = root
            .object_value_or_create()
            .ok_or_else(|| Flaw::at_start("an object was expected"))?;
        only_once(&object, key).map_err(|flaw| flaw.seek(text))?;
        if let Some(prop) = object.get(key) {
            let servers = prop.object_value();
            let servers = servers
                .ok_or_else(|| Flaw::new(text, key, "an object was expected under this key"))?;
            for prop in servers.properties() {
                only_once(&servers, &name(&prop)).map_err(|flaw| flaw.seek(text))?;
            }
        }
        let step = root.single_indent_text().unwrap_or_else(|| "  ".into());
        Ok(Self { dense: without_spaces(text) == text && text.len() > 2, root, key, step })
    }

    fn servers(&self) -> Option<CstObject> {
        self.root.object_value()?.object_value(self.key)
    }

    fn prop(&self, server: &str) -> Option<CstObjectProp> {
        self.servers()?.get(server)
    }

    pub fn names(&self) -> Vec<String> {
        self.servers().map(|s| s.properties().iter().map(name).collect()).unwrap_or_default()
    }

    pub fn entry(&self, server: &str) -> Option<Value> {
        self.prop(server)?.to_serde_value()
    }

    /// Writes an entry: a new one at the end, an existing one field by field.
    pub fn put(&mut self, server: &str, fields: &Fields, managed: &[&str]) {
        let Some(object) = self.root.object_value() else { return };
        let servers = object.object_value_or_set(self.key);
        let prop = servers.get(server);
        let prop = prop.unwrap_or_else(|| servers.append(server, CstInputValue::Null));
        let Some(entry) = prop.object_value() else {
            self.set(&prop, &crate::shape::entry(fields), Some(fields));
            return;
        };
        for (key, value) in fields {
            match entry.get(key) {
                Some(field) if field.to_serde_value().as_ref() == Some(value) => {}
                Some(field) => self.set(&field, value, None),
                None => self.set(&entry.append(key, CstInputValue::Null), value, None),
            }
        }
        for key in managed.iter().filter(|key| !fields.iter().any(|(k, _)| k == *key)) {
            self.cut(&[self.key, server, key]);
        }
    }

    /// Writes a value as text of ours: the library would put lists on one line, which no agent does.
    fn set(&self, prop: &CstObjectProp, value: &Value, ordered: Option<&Fields>) {
        let mut writer = Writer {
            step: &self.step,
            newline: match self.root.newline_kind() {
                CstNewlineKind::LineFeed | CstNewlineKind::CarriageReturn => "\n",
                CstNewlineKind::CarriageReturnLineFeed => "\r\n",
            },
            text: String::new(),
        };
        let indent = prop.indent_text().unwrap_or_default();
        match ordered {
            Some(fields) => writer.object(&indent, fields.iter().map(|(k, v)| (*k, v))),
            None => writer.value(&indent, value),
        }
        // What the library calls a number is written as it is.
        prop.set_value(CstInputValue::Number(writer.text));
    }

    /// Takes an entry away, and with the last one the key, unless the user wrote something there.
    pub fn take(&mut self, server: &str) {
        self.cut(&[self.key, server]);
        let is_bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).eq(['{', '}']);
        let servers = self.servers().map(|servers| servers.to_string());
        if servers.is_some_and(|servers| is_bare(&servers)) {
            self.cut(&[self.key]);
            if self.root.object_value().is_some_and(|object| is_bare(&object.to_string())) {
                self.root.set_value(CstInputValue::Object(Vec::new()));
            }
        }
    }

    fn cut(&mut self, path: &[&str]) {
        let text = cut(&self.root.to_string(), path, &options());
        if let Ok(root) = CstRootNode::parse(&text, &options()) {
            self.root = root;
        }
    }

    pub fn text(&self) -> String {
        let text = self.root.to_string();
        if self.dense { without_spaces(&text) } else { text }
    }
}

/// JSON with comments and trailing commas, and no other liberties.
fn options() -> ParseOptions {
    ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_missing_commas: false,
        allow_loose_object_property_names: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

/// The text without what stands between its tokens. A text with comments is never equal to it.
fn without_spaces(text: &str) -> String {
    let (mut inside, mut escaped) = (false, false);
    let keep = |c: &char| {
        let space = !inside && (c.is_whitespace() || *c == '/');
        if *c == '"' && !escaped {
            inside = !inside;
        }
        escaped = *c == '\\' && !escaped;
        !space
    };
    text.chars().filter(keep).collect()
}

/// JSON with one item per line, as `JSON.stringify(value, null, step)` writes it.
struct Writer<'a> {
    step: &'a str,
    newline: &'a str,
    text: String,
}

impl Writer<'_> {
    fn value(&mut self, indent: &str, value: &Value) {
        match value {
            Value::Object(map) => {
                self.object(indent, map.iter().map(|(key, value)| (key.as_str(), value)));
            }
            Value::Array(items) => {
                self.items(indent, '[', ']', items.iter(), |writer, inner, item| {
                    writer.value(inner, item);
                });
            }
            other => self.text.push_str(&other.to_string()),
        }
    }

    fn object<'v>(&mut self, indent: &str, fields: impl Iterator<Item = (&'v str, &'v Value)>) {
        self.items(indent, '{', '}', fields, |writer, inner, (key, value)| {
            writer.text.push_str(&Value::from(key).to_string());
            writer.text.push_str(": ");
            writer.value(inner, value);
        });
    }

    fn items<T>(
        &mut self,
        indent: &str,
        open: char,
        close: char,
        items: impl Iterator<Item = T>,
        mut write: impl FnMut(&mut Self, &str, T),
    ) {
        let inner = format!("{indent}{}", self.step);
        self.text.push(open);
        let mut any = false;
        for item in items {
            if any {
                self.text.push(',');
            }
            any = true;
            self.text.push_str(self.newline);
            self.text.push_str(&inner);
            write(self, &inner, item);
        }
        if any {
            self.text.push_str(self.newline);
            self.text.push_str(indent);
        }
        self.text.push(close);
    }
}

fn name(prop: &CstObjectProp) -> String {
    prop.decoded_name().unwrap_or_default()
}

/// Twice the same key has no meaning that two programs agree on.
fn only_once(object: &CstObject, key: &str) -> Result<(), Flaw> {
    let times = object.properties().iter().filter(|prop| name(prop) == key).count();
    if times < 2 { Ok(()) } else { Err(Flaw::twice(key)) }
}

fn flaw(error: &ParseError) -> Flaw {
    Flaw {
        line: error.line_display(),
        column: error.column_display(),
        why: error.kind().to_string().to_lowercase(),
    }
}
