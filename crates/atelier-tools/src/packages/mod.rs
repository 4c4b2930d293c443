//! The packages that a tool runs: found, pinned with their hashes, installed from the pins alone, and run in place of
//! what `npx` and `uvx` would fetch.

mod find;
mod install;
mod npm;
mod oci;
mod pypi;
pub mod shim;
mod shim_alone;
mod words;

pub(crate) use find::{Found, Wants, find};
pub(crate) use install::{install, installed, link, sweep};

use std::collections::BTreeMap;
use std::path::Path;

use crate::context::Context;
use crate::home::{LockedPackage, PackageKind, Unpinned};
use crate::process::{Ended, Run, Stopped};
use crate::{Result, Slug, ToolsError};

/// What a tool's packages were pinned to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pinned {
    pub packages: Vec<LockedPackage>,
    /// The files of `locks/SLUG/`.
    pub files: BTreeMap<String, Vec<u8>>,
    pub unpinned: Vec<Unpinned>,
}

/// Pins everything that was found; `scratch` is an empty folder. Images are `brought` where nothing else tells their
/// digests.
pub(crate) fn pin(
    slug: &Slug,
    wants: &Wants,
    scratch: &Path,
    brought: bool,
    context: &Context<'_>,
) -> Result<Pinned> {
    let mut pinned = Pinned { unpinned: wants.unpinned.clone(), ..Pinned::default() };
    let of = |kind: PackageKind| -> Vec<&Found> {
        wants.found.iter().filter(|found| found.kind == kind).collect()
    };
    let (npm, pypi, oci) = (of(PackageKind::Npm), of(PackageKind::Pypi), of(PackageKind::Oci));
    if !npm.is_empty() {
        context.at("locking", &format!("npm: {}", names(&npm)))?;
        npm::pin(slug, &npm, &scratch.join("npm"), context, &mut pinned)?;
    }
    if !pypi.is_empty() {
        context.at("locking", &format!("PyPI: {}", names(&pypi)))?;
        pypi::pin(slug, &pypi, &scratch.join("pypi"), context, &mut pinned)?;
    }
    for image in oci {
        context.at("locking", &format!("image: {}", image.name))?;
        oci::pin(image, brought, context, &mut pinned);
    }
    pinned.packages.sort();
    pinned.unpinned.sort();
    pinned.unpinned.dedup();
    Ok(pinned)
}

fn names(found: &[&Found]) -> String {
    found.iter().map(|f| f.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Runs npm, pip, uv or docker.
pub(crate) fn run(
    slug: &str,
    doing: &str,
    command: crate::process::Command,
    context: &Context<'_>,
) -> Result<Ended> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |why: String| ToolsError::Packages { slug: slug.into(), doing: doing.into(), why };
    let ended = Run::new(command, context.limits.time, &context.cancel).run();
    ended.map_err(|stopped| match stopped {
        Stopped::Start(error) if error.kind() == std::io::ErrorKind::NotFound => {
            ToolsError::Program { program, why: format!("for {doing}") }
        }
        Stopped::Start(error) => failed(error.to_string()),
        Stopped::Time(limit) => failed(format!("it did not end within {} s", limit.as_secs())),
        Stopped::Size(most) => failed(format!("it wrote more than {} MiB", most >> 20)),
        Stopped::Cancelled => ToolsError::Cancelled,
    })
}

/// The same; anything but success is an error.
pub(crate) fn must(
    slug: &str,
    doing: &str,
    command: crate::process::Command,
    context: &Context<'_>,
) -> Result<Ended> {
    let ended = run(slug, doing, command, context)?;
    match ended.ok() {
        true => Ok(ended),
        false => {
            let (slug, doing) = (slug.into(), doing.into());
            Err(ToolsError::Packages { slug, doing, why: ended.said() })
        }
    }
}
