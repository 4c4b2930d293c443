//! `files:` of `atelier.yaml`: what comes along, and what is rendered.

use std::path::{Component, Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

/// What of the files that git does not keep comes along, and what is rendered. Files that git keeps
/// always come; globs are written as in ignore files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Files {
    /// Files that git ignores, `.env` and `.env.*`: `all`, `none`, or a list of globs.
    pub copy: Copy,
    /// Globs of files that git does not keep and that stay out in any case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// Files that get the environment's values, in its copy only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub render: Vec<Render>,
}

/// Which files that git does not keep come along.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Copy {
    /// All of them.
    #[default]
    All,
    /// None of them.
    None,
    /// Those that a glob matches.
    #[serde(untagged)]
    Only(Vec<String>),
}

/// A file that gets the environment's values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Render {
    /// Its path in the project.
    #[serde(deserialize_with = "inside")]
    pub file: PathBuf,
    /// Whether `${ATELIER_PROJECT}`, `${ATELIER_ENV}`, `${ATELIER_DNS_SUFFIX}` and `${ATELIER_BASE_URL}` in it
    /// are replaced by their values.
    #[serde(default = "yes")]
    pub tokens: bool,
    /// Texts to replace, in order, before the tokens are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replace: Vec<Replace>,
}

/// A text to replace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    /// What stands there.
    #[serde(deserialize_with = "some")]
    pub from: String,
    /// What shall stand there.
    pub to: String,
}

const fn yes() -> bool {
    true
}

/// A path that does not lead out of the project.
fn inside<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(from)?;
    let clean: PathBuf = path.components().filter(|c| *c != Component::CurDir).collect();
    let plain = |path: &Path| path.components().all(|c| matches!(c, Component::Normal(_)));
    if clean.as_os_str().is_empty() || !plain(&clean) || clean.starts_with(".git") {
        let why = format!("`{}` is no path of a file in the project", path.display());
        return Err(de::Error::custom(why));
    }
    Ok(clean)
}

fn some<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    if text.is_empty() { Err(de::Error::custom("`from` is empty")) } else { Ok(text) }
}

impl<'de> Deserialize<'de> for Copy {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Copy;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("`all`, `none`, or a list of globs")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Copy, E> {
                match text {
                    "all" => Ok(Copy::All),
                    "none" => Ok(Copy::None),
                    other => Err(E::unknown_variant(other, &["all", "none"])),
                }
            }

            // YAML 1.1 habits: `none` may come as null from `~`.
            fn visit_unit<E: de::Error>(self) -> Result<Copy, E> {
                Ok(Copy::None)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Copy, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(list)).map(Copy::Only)
            }
        }
        from.deserialize_any(Visitor)
    }
}
