//! Container images: the digest behind a tag, where an engine can tell it.

use crate::process::Command;

use serde_json::Value;

use super::{Found, Pinned, run};
use crate::context::Context;
use crate::home::{LockedPackage, PackageKind, Unpinned};

/// Pins an image by its digest, or tells that nobody could.
pub(super) fn pin(image: &Found, context: &Context<'_>, pinned: &mut Pinned) {
    let wants = image.wants.clone().unwrap_or_else(|| "latest".into());
    let (tag, given) = match wants.split_once('@') {
        Some((tag, digest)) => (tag.to_owned(), Some(digest.to_owned())),
        None => (wants, None),
    };
    let name = format!("{}:{tag}", image.name);
    match given.or_else(|| local(&name, context)).or_else(|| remote(&name, context)) {
        Some(digest) => pinned.packages.push(LockedPackage {
            kind: PackageKind::Oci,
            name: image.name.clone(),
            version: tag,
            integrity: None,
            sha256s: Vec::new(),
            digest: Some(digest),
        }),
        None => pinned.unpinned.push(Unpinned {
            what: format!("image {name}"),
            why: "no container engine here could tell its digest".into(),
        }),
    }
}

/// From an image that is here.
fn local(name: &str, context: &Context<'_>) -> Option<String> {
    let mut docker = Command::new("docker");
    docker.args(["image", "inspect", "--format", "{{json .RepoDigests}}", name]);
    let ended = run("", "docker image inspect", docker, context)
        .ok()
        .filter(super::super::process::Ended::ok)?;
    let list: Vec<String> = serde_json::from_slice(&ended.stdout).ok()?;
    list.first()?.split_once('@').map(|(_, digest)| digest.to_owned())
}

/// From its registry.
fn remote(name: &str, context: &Context<'_>) -> Option<String> {
    let mut docker = Command::new("docker");
    docker.args(["buildx", "imagetools", "inspect", "--format", "{{json .Manifest}}", name]);
    let ended = run("", "docker buildx imagetools", docker, context)
        .ok()
        .filter(super::super::process::Ended::ok)?;
    let manifest: Value = serde_json::from_slice(&ended.stdout).ok()?;
    manifest["digest"].as_str().map(str::to_owned)
}
