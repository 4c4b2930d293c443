//! YAML as a tree that knows where each of its nodes stood.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Options, Spanned};

/// Line and column, from 1.
pub type Place = (u64, u64);

/// A value and where it stood.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it says.
    pub value: Yaml,
    /// Where it stood.
    pub place: Place,
}

/// What YAML can say. Mappings keep their order.
#[derive(Debug, Clone, PartialEq)]
pub enum Yaml {
    /// Nothing, `~` or `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction, or one that is none.
    Float(f64),
    /// A text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping.
    Map(Vec<(Key, Node)>),
}

/// A key and where it stood.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The key.
    pub name: String,
    /// Where it stood.
    pub place: Place,
}

/// Which plain words are booleans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Booleans {
    /// `true` and `false` alone, as YAML 1.2 has it.
    Two,
    /// Those and `yes`, `no`, `on` and `off`, as YAML 1.1 has it.
    Six,
}

/// What makes a text no YAML, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// What, without the place.
    pub words: String,
}

/// The documents of a text; an empty one has none.
///
/// # Errors
/// The first mistake: of syntax, a key given twice, a tag that nobody knows, or anchors that would
/// make too much of a small text.
pub fn parse(text: &str, booleans: Booleans) -> Result<Vec<Node>, Mistake> {
    let options: Options = serde_saphyr::options! {
        strict_booleans: booleans == Booleans::Two,
        legacy_octal_numbers: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    let documents = serde_saphyr::from_multiple_with_options::<Option<Node>>(text, options);
    documents.map(|d| d.into_iter().flatten().collect()).map_err(|e| {
        let place = e.location().map_or((1, 1), |l| (l.line().max(1), l.column().max(1)));
        let words = e.without_snippet().to_string();
        let words = words.split(" at line ").next().unwrap_or_default();
        Mistake { place, words: words.trim_start_matches("error: ").to_owned() }
    })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Yaml>::deserialize(from)?;
        let place = (spanned.defined.line(), spanned.defined.column());
        Ok(Self { value: spanned.value, place })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Yaml>::deserialize(from)?;
        let place = (spanned.defined.line(), spanned.defined.column());
        match spanned.value {
            Yaml::Text(name) => Ok(Self { name, place }),
            _ => Err(D::Error::custom("a key must be a string; put it in quotes")),
        }
    }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Yaml;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Yaml, E> {
                Ok(Yaml::Null)
            }
            fn visit_none<E>(self) -> Result<Yaml, E> {
                Ok(Yaml::Null)
            }
            fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Yaml, D::Error> {
                Yaml::deserialize(from)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Yaml, E> {
                Ok(Yaml::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Yaml, E> {
                Ok(Yaml::Int(value))
            }
            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Yaml, E> {
                i64::try_from(value)
                    .map(Yaml::Int)
                    .map_err(|_| E::custom("the number is too large; put it in quotes"))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Yaml, E> {
                Ok(Yaml::Float(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Yaml, E> {
                Ok(Yaml::Text(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Yaml, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = from.next_element()? {
                    items.push(item);
                }
                Ok(Yaml::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Yaml, A::Error> {
                let mut entries: Vec<(Key, Node)> = Vec::new();
                while let Some((key, node)) = from.next_entry::<Key, Node>()? {
                    if entries.iter().any(|(k, _)| k.name == key.name) {
                        return Err(A::Error::custom(format!("`{}` is given twice", key.name)));
                    }
                    entries.push((key, node));
                }
                Ok(Yaml::Map(entries))
            }
        }
        from.deserialize_any(Any)
    }
}

impl Node {
    /// The value of a key of a mapping.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<(&Key, &Self)> {
        match &self.value {
            Yaml::Map(entries) => {
                entries.iter().find(|(k, _)| k.name == name).map(|(k, node)| (k, node))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_know_where_they_stood_through_anchors_too() {
        let documents =
            parse("a: &x\n  k: 1\nb:\n  <<: *x\n  c: [yes, 0x10, 1.5, ~]\n", Booleans::Two)
                .unwrap();
        let node = &documents[0];
        assert_eq!(node.get("b").unwrap().0.place, (3, 1));
        let b = node.get("b").unwrap().1;
        assert_eq!(b.get("k").unwrap().1.value, Yaml::Int(1));
        let Yaml::List(items) = &b.get("c").unwrap().1.value else { panic!("{b:?}") };
        let values: Vec<_> = items.iter().map(|i| i.value.clone()).collect();
        let yes = Yaml::Text("yes".to_owned());
        assert_eq!(values, [yes, Yaml::Int(16), Yaml::Float(1.5), Yaml::Null]);
    }

    #[test]
    fn a_mistake_has_its_place() {
        let Mistake { place, words } = parse("a: 1\nb: [\n", Booleans::Two).unwrap_err();
        assert!(place.0 >= 2 && !words.is_empty(), "{place:?} {words}");
        assert_eq!(parse("", Booleans::Two).unwrap(), []);
        assert!(parse("a: 1\na: 2\n", Booleans::Two).is_err());
        assert!(parse("a: !reset null\n", Booleans::Two).is_err());
    }
}
