//! `image.*` and `template.*`: what sandboxes start from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::HostPath;
use crate::env::Resources;
use crate::operation::operation;
use crate::system::Nothing;

/// One image.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Image {
    /// `sha256:` and the digest of its configuration.
    pub id: String,
    /// Its names.
    pub names: Vec<String>,
    /// Its digest in the registry that it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Such as `linux/amd64`.
    pub platform: String,
    /// How many layers it has.
    pub layers: u64,
    /// Bytes on disk, layers that others share included.
    pub size_bytes: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Which image.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ImageRef {
    /// Name, id, or unique beginning of an id.
    pub image: String,
}

/// Input of [`ImagePull`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ImagePullInput {
    /// Such as `alpine:3.20`, `ghcr.io/owner/name@sha256:…`.
    pub reference: String,
    /// Such as `linux/arm64`; this machine's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
}

/// Input of [`ImageImport`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ImageImportInput {
    /// An archive of `docker save`, an OCI layout, a root tarball, or a folder.
    pub path: HostPath,
    /// The image's name; what the archive says when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Input of [`ImageBuild`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ImageBuildInput {
    /// The folder of the build.
    pub context: HostPath,
    /// The Dockerfile; `Dockerfile` in the folder when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<HostPath>,
    /// The image's name.
    pub name: String,
    /// Arguments of the build.
    #[serde(default)]
    pub arguments: BTreeMap<String, String>,
    /// The stage to build; the last one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Build everything again.
    #[serde(default)]
    pub no_cache: bool,
}

/// What [`ImageBuild`] made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ImageBuilt {
    /// The image.
    pub image: Image,
    /// What the builder said.
    pub log: String,
}

/// Input of [`ImageRemove`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ImageRemoveInput {
    /// Name, id, or unique beginning of an id.
    pub image: String,
    /// Remove it although it has other names.
    #[serde(default)]
    pub force: bool,
}

/// Input of [`ImagePrune`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ImagePruneInput {
    /// Images with a name as well, if no sandbox, template or snapshot uses them.
    #[serde(default)]
    pub all: bool,
}

/// What was removed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ImagesRemoved {
    /// Names and ids that are gone.
    pub removed: Vec<String>,
    /// Bytes freed on disk.
    pub freed_bytes: u64,
}

/// What a template is made of.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TemplateSpec {
    /// A recipe that comes with Atelier: `base` or `code-interpreter`. What else is given here
    /// counts more, and its setup comes after the recipe's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// The image or template it starts from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// A git repository, or a folder of this machine, that is put into `workdir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The branch, tag or commit of the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Shell commands that run once, in order, as root, in `workdir` if there is one.
    pub setup: Vec<String>,
    /// Variables of the setup and of every command later.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// The user of later commands; the image's when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The folder where later commands start, and where the repository lies (`/workspace` when
    /// absent).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// A command that is started with every sandbox of the template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// A command that succeeds when the started one is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// Limits of its sandboxes unless they say otherwise.
    pub resources: Resources,
}

/// Input of [`TemplateBuild`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TemplateBuildInput {
    /// The template's name: `a-z`, `0-9`, `.`, `_`, `-`, and a tag after a colon if one is wanted.
    pub name: String,
    /// What it is made of.
    #[serde(flatten)]
    pub spec: TemplateSpec,
    /// Build it again although nothing changed.
    #[serde(default)]
    pub force: bool,
    /// The runtime that it is set up on; the default one when absent. Sandboxes of it start on any
    /// that takes images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
}

/// One template.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// What it is made of.
    pub spec: TemplateSpec,
    /// The image that was made.
    pub image: String,
    /// A digest of all that went into it: another one means that it is to be built again.
    pub inputs: String,
    /// When it was built.
    pub built_at: Timestamp,
    /// Bytes on disk.
    pub size_bytes: u64,
}

/// What [`TemplateBuild`] did.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TemplateBuilt {
    /// The template.
    pub template: Template,
    /// Whether it had to be built: nothing had changed otherwise.
    pub rebuilt: bool,
    /// What the setup said.
    pub log: String,
}

/// Input of [`TemplateCommit`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TemplateCommitInput {
    /// The template's name, as in [`TemplateBuildInput`].
    pub name: String,
    /// The sandbox whose files are frozen: id, unique beginning of an id, or name.
    pub sandbox: String,
    /// What its sandboxes start with: `variables`, `user`, `workdir`, `start`, `ready` and
    /// `resources` count; the rest is kept for the reader.
    pub spec: TemplateSpec,
}

/// Which template.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TemplateRef {
    /// Its name.
    pub template: String,
}

operation! {
    /// Lists images, the newest first.
    ImageList: "image.list" Get "/images" Read
    (Nothing) -> Vec<Image>, |_i| String::new()
}
operation! {
    /// Pulls an image from its registry.
    ImagePull: "image.pull" Post "/images/pull" Change
    (ImagePullInput) -> Image, |i| i.reference.clone()
}
operation! {
    /// Imports an image from this machine.
    ImageImport: "image.import" Post "/images/import" Change
    (ImageImportInput) -> Image, |i| i.path.encode()
}
operation! {
    /// Builds an image from a Dockerfile, with Docker, Podman or Buildah.
    ImageBuild: "image.build" Post "/images/build" Change
    (ImageBuildInput) -> ImageBuilt, |i| i.name.clone()
}
operation! {
    /// Removes an image, or one of its names.
    ImageRemove: "image.remove" Post "/images/remove" Change
    (ImageRemoveInput) -> ImagesRemoved, |i| i.image.clone()
}
operation! {
    /// Removes images that nothing uses, and warm machines that were not used for a week.
    ImagePrune: "image.prune" Post "/images/prune" Change
    (ImagePruneInput) -> ImagesRemoved, |_i| String::new()
}
operation! {
    /// Builds a template, unless it is there and nothing that it is made of has changed.
    TemplateBuild: "template.build" Post "/templates" Change
    (TemplateBuildInput) -> TemplateBuilt, |i| i.name.clone()
}
operation! {
    /// Freezes a sandbox's files as a template; the sandbox goes on.
    TemplateCommit: "template.commit" Post "/templates/commit" Change
    (TemplateCommitInput) -> Template, |i| i.name.clone()
}
operation! {
    /// Lists templates.
    TemplateList: "template.list" Get "/templates" Read
    (Nothing) -> Vec<Template>, |_i| String::new()
}
operation! {
    /// Removes a template; sandboxes made from it stay.
    TemplateRemove: "template.remove" Delete "/templates/{template}" Change
    (TemplateRef) -> Nothing, |i| i.template.clone()
}
