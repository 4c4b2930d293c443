//! Container images: the digest behind a tag, where an engine can tell it.

use crate::process::Command;

use serde_json::Value;

use super::{Found, Pinned, run};
use crate::context::Context;
use crate::home::{LockedPackage, PackageKind, Unpinned};
use crate::process;

/// Pins an image by its digest, or tells that nobody could. Where its registry tells nothing without it, the image is
/// `brought` here.
pub(super) fn pin(image: &Found, brought: bool, context: &Context<'_>, pinned: &mut Pinned) {
    let wants = image.wants.clone().unwrap_or_else(|| "latest".into());
    let (tag, given) = match wants.split_once('@') {
        Some((tag, digest)) => (tag.to_owned(), Some(digest.to_owned())),
        None => (wants, None),
    };
    let name = format!("{}:{tag}", image.name);
    let digest = given.or_else(|| {
        let engine = ENGINES.into_iter().find(|engine| process::find(engine, None).is_some())?;
        let newest = remote(engine, &name, context);
        let newest = newest.or_else(|| brought.then(|| pulled(engine, &name, context)).flatten());
        // Without a network, or of an image that is in no registry any more.
        newest.or_else(|| local(engine, &name, context))
    });
    match digest {
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

/// What can tell a digest; the first that is installed is asked.
const ENGINES: [&str; 2] = ["docker", "podman"];

/// What an engine's command says, if it succeeds.
fn said(engine: &str, args: &[&str], context: &Context<'_>) -> Option<Vec<u8>> {
    let mut command = Command::new(engine);
    command.args(args);
    let ended = run("", engine, command, context).ok().filter(process::Ended::ok)?;
    Some(ended.stdout)
}

/// From an image that is here.
fn local(engine: &str, name: &str, context: &Context<'_>) -> Option<String> {
    let args = ["image", "inspect", "--format", "{{json .RepoDigests}}", name];
    let list: Vec<String> = serde_json::from_slice(&said(engine, &args, context)?).ok()?;
    // An image may have come from several repositories; only this one's digest can be pulled from it.
    let (bare, _) = name.rsplit_once(':')?;
    let of_it = |full: &&String| full.split('@').next().is_some_and(|own| own.ends_with(bare));
    list.iter().find(of_it)?.split_once('@').map(|(_, digest)| digest.to_owned())
}

/// From its registry.
fn remote(engine: &str, name: &str, context: &Context<'_>) -> Option<String> {
    let args = ["buildx", "imagetools", "inspect", "--format", "{{json .Manifest}}", name];
    let manifest: Value = serde_json::from_slice(&said(engine, &args, context)?).ok()?;
    manifest["digest"].as_str().map(str::to_owned)
}

/// From its registry, with the image itself, which is needed anyway.
fn pulled(engine: &str, name: &str, context: &Context<'_>) -> Option<String> {
    said(engine, &["pull", "--quiet", name], context)?;
    local(engine, name, context)
}
