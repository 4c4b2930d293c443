//! What an image is: its id, its layers, how it runs. No files are touched here.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ImageError;
use crate::digest::Digest;

/// An image's id: `sha256:` and the digest of its configuration, in 64 hexadecimal digits.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct ImageId(String);

impl ImageId {
    pub(crate) fn new(digest: &Digest) -> Self {
        Self(digest.to_string())
    }

    /// The whole id, with `sha256:`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits alone.
    #[must_use]
    pub fn hex(&self) -> &str {
        self.0.trim_start_matches("sha256:")
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ImageId {
    type Err = ImageError;
    fn from_str(text: &str) -> Result<Self, ImageError> {
        text.parse::<Digest>().map(|digest| Self::new(&digest))
    }
}

impl TryFrom<String> for ImageId {
    type Error = ImageError;
    fn try_from(text: String) -> Result<Self, ImageError> {
        text.parse()
    }
}

impl From<ImageId> for String {
    fn from(id: ImageId) -> Self {
        id.0
    }
}

/// A layer: `sha256:…` of its uncompressed archive, or `local:…` for one that was made here and
/// never was an archive.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct LayerId(String);

const LOCAL: &str = "local:";

impl LayerId {
    pub(crate) fn new(digest: &Digest) -> Self {
        Self(digest.to_string())
    }

    /// An id that no other layer has.
    pub(crate) fn unique() -> Self {
        Self(format!("{LOCAL}{}", uuid::Uuid::new_v4().simple()))
    }

    /// The whole id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it was made here, so that nobody else has it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.0.starts_with(LOCAL)
    }

    /// The name of its folder.
    pub(crate) fn folder(&self) -> String {
        self.0.replacen(':', "-", 1)
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for LayerId {
    type Error = ImageError;
    /// Ids become folder names, so nothing but digits gets through.
    fn try_from(text: String) -> Result<Self, ImageError> {
        if let Some(hex) = text.strip_prefix(LOCAL) {
            if hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Ok(Self(text));
            }
            return Err(ImageError::invalid(format!("the layer id {text:?}"), "not 32 digits"));
        }
        text.parse::<Digest>().map(|digest| Self::new(&digest))
    }
}

impl From<LayerId> for String {
    fn from(id: LayerId) -> Self {
        id.0
    }
}

/// How an image runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ImageConfig {
    /// `NAME=value`.
    pub env: Vec<String>,
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// The further arguments, or the program when there is no entrypoint.
    pub cmd: Vec<String>,
    /// The working folder.
    pub workdir: Option<String>,
    /// `name`, `uid`, `name:group` or `uid:gid`.
    pub user: Option<String>,
    /// `8080/tcp`.
    pub exposed_ports: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// An image that is here, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Image {
    /// The digest of its configuration.
    pub id: ImageId,
    /// Full references, `docker.io/library/alpine:3.20`, or local ones, `base:latest`.
    pub names: Vec<String>,
    /// The digest of the manifest in the registry it came from.
    pub digest: Option<String>,
    /// How it runs.
    pub config: ImageConfig,
    /// Its layers, the lowest first.
    pub layers: Vec<LayerId>,
    /// What its layers take on the disk. Images share layers; one that was made here a moment ago
    /// may not be counted yet.
    pub size_bytes: u64,
    /// When it was made, by whoever made it.
    pub created_at: Timestamp,
    /// What made it, for images made here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, as Go calls them.
    pub architecture: String,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Removed {
    /// Names that are gone.
    pub untagged: Vec<String>,
    /// Images that are gone.
    pub images: Vec<ImageId>,
    /// Bytes on the disk that are free again.
    pub freed_bytes: u64,
}

/// How far a pull is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "step", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Progress {
    /// The registry is asked for the image.
    Resolving {
        /// Its full name.
        name: String,
    },
    /// The image is known.
    Resolved {
        /// How many layers it has.
        layers: usize,
        /// How many bytes are to be downloaded at most.
        bytes: u64,
    },
    /// A layer arrives.
    Downloading {
        /// Which.
        layer: LayerId,
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// A layer has arrived and is unpacked.
    Unpacking {
        /// Which.
        layer: LayerId,
    },
    /// A layer is there.
    Ready {
        /// Which.
        layer: LayerId,
        /// Whether it was there before.
        cached: bool,
    },
}
