//! Manifests, indexes and configurations of images: Docker's schema 2 and OCI, read as far as an
//! image needs them.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::digest::Digest;
use crate::platform::Platform;
use crate::records::Record;
use crate::{ImageConfig, ImageError, ImageId, LayerId, Result};

/// What we tell registries that we understand.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json";

const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
const MANIFESTS: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
const CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
const LAYERS: [&str; 5] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
];

/// The annotations under which tools keep an image's name in a layout.
const NAME_ANNOTATIONS: [&str; 2] =
    ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

/// A manifest or an index, as it arrives.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    schema_version: u32,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

/// Content by its digest.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: String,
    pub size: u64,
    #[serde(default)]
    platform: Option<RawPlatform>,
    #[serde(default)]
    annotations: Option<HashMap<String, String>>,
}

#[derive(Debug, Clone, Deserialize)]
struct RawPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

impl Descriptor {
    pub(crate) fn digest(&self) -> Result<Digest> {
        self.digest.parse()
    }

    /// The platform, unless it says none or is an attestation.
    pub(crate) fn platform(&self) -> Option<Platform> {
        let raw = self.platform.as_ref()?;
        (raw.os != "unknown" && !raw.os.is_empty())
            .then(|| Platform::new(&raw.os, &raw.architecture, raw.variant.as_deref()))
    }

    /// The name that a layout gives it.
    pub(crate) fn name(&self) -> Option<&str> {
        let annotations = self.annotations.as_ref()?;
        NAME_ANNOTATIONS.iter().find_map(|key| annotations.get(*key)).map(String::as_str)
    }

    /// Whether a layer is of a kind that can be used.
    pub(crate) fn check_layer(&self) -> Result<()> {
        let kind = self.media_type.as_str();
        if kind.contains(".foreign.") || kind.contains(".nondistributable.") {
            return Err(ImageError::ForeignLayer(self.digest.clone()));
        }
        known(&format!("the layer {}", self.digest), kind, &LAYERS)
    }
}

/// What a registry or a layout has under a name.
#[derive(Debug)]
pub(crate) enum Document {
    /// Images for several platforms.
    Index(Vec<Descriptor>),
    /// One image.
    Manifest(Manifest),
}

/// One image: its configuration and its layers, the lowest first.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

impl Document {
    /// Reads a document. `media_type` is what came with it; its own field counts more.
    pub(crate) fn read(what: &str, bytes: &[u8], media_type: Option<&str>) -> Result<Self> {
        let raw: Raw = json(what, bytes)?;
        let kind = raw.media_type.as_deref().or(media_type).unwrap_or_default().to_owned();
        if raw.schema_version == 1 || kind.contains(".v1+prettyjws") {
            return Err(ImageError::MediaType { what: what.to_owned(), kind: "schema 1".into() });
        }
        match (raw.manifests, raw.config, raw.layers) {
            // One that could be read both ways means two images under one digest.
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
                Err(ImageError::invalid(what, "it is an index and a manifest at once"))
            }
            (Some(manifests), None, None) => {
                known(what, &kind, &INDEXES).map(|()| Self::Index(manifests))
            }
            (None, Some(config), Some(layers)) => {
                known(what, &kind, &MANIFESTS)?;
                known(&format!("the configuration of {what}"), &config.media_type, &CONFIGS)?;
                layers.iter().try_for_each(Descriptor::check_layer)?;
                Ok(Self::Manifest(Manifest { config, layers }))
            }
            _ => Err(ImageError::MediaType { what: what.to_owned(), kind }),
        }
    }
}

/// The manifest of an index for a platform.
pub(crate) fn choose<'a>(
    name: &str,
    manifests: &'a [Descriptor],
    wanted: &Platform,
) -> Result<&'a Descriptor> {
    let fits = |d: &&Descriptor| d.platform().is_some_and(|p| p.fits(wanted));
    if let Some(found) = manifests.iter().find(fits) {
        return Ok(found);
    }
    match manifests {
        // A layout with one image need not say for what.
        [only] if only.platform.is_none() => Ok(only),
        _ => Err(ImageError::WrongPlatform {
            name: name.to_owned(),
            wanted: wanted.to_string(),
            offered: manifests
                .iter()
                .filter_map(Descriptor::platform)
                .map(|p| p.to_string())
                .collect(),
        }),
    }
}

fn known(what: &str, kind: &str, all: &[&str]) -> Result<()> {
    if kind.is_empty() || all.contains(&kind) {
        return Ok(());
    }
    Err(ImageError::MediaType { what: what.to_owned(), kind: kind.to_owned() })
}

/// An image's configuration, as it arrives.
#[derive(Debug, Deserialize)]
pub(crate) struct RawConfig {
    #[serde(default)]
    pub os: String,
    #[serde(default)]
    pub architecture: String,
    pub variant: Option<String>,
    created: Option<String>,
    #[serde(default)]
    config: Option<RawRun>,
    rootfs: RootFs,
}

#[derive(Debug, Deserialize)]
struct RootFs {
    #[serde(default, deserialize_with = "nullable")]
    diff_ids: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawRun {
    #[serde(deserialize_with = "nullable")]
    env: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    entrypoint: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    cmd: Vec<String>,
    working_dir: Option<String>,
    user: Option<String>,
    #[serde(deserialize_with = "nullable")]
    exposed_ports: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "nullable")]
    labels: BTreeMap<String, String>,
}

/// Go writes empty lists as `null`.
fn nullable<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl RawConfig {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        json("the configuration of the image", bytes)
    }

    pub(crate) fn diff_ids(&self) -> Result<Vec<Digest>> {
        self.rootfs.diff_ids.iter().map(|id| id.parse()).collect()
    }

    pub(crate) fn platform(&self) -> Platform {
        let os = if self.os.is_empty() { "linux" } else { &self.os };
        Platform::new(os, &self.architecture, self.variant.as_deref())
    }

    /// What is kept of an image.
    pub(crate) fn record(self, bytes: &[u8], digest: Option<String>) -> Result<Record> {
        let layers = self.diff_ids()?.iter().map(LayerId::new).collect();
        let (os, architecture, _) = self.platform().parts();
        let run = self.config.unwrap_or_default();
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Record {
            id: ImageId::new(&Digest::of(bytes)),
            digest,
            config: ImageConfig {
                env: run.env,
                entrypoint: run.entrypoint,
                cmd: run.cmd,
                workdir: some(run.working_dir),
                user: some(run.user),
                exposed_ports: run.exposed_ports.into_keys().collect(),
                labels: run.labels,
            },
            layers,
            // A build that can be repeated often has no time.
            created_at: self
                .created
                .and_then(|text| text.parse().ok())
                .unwrap_or(Timestamp::UNIX_EPOCH),
            created_by: None,
            os,
            architecture,
        })
    }
}

/// Reads JSON.
pub(crate) fn json<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| ImageError::invalid(what, error))
}
