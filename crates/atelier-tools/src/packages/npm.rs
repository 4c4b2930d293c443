//! npm: an exact version and a lock with hashes for each package that a tool runs.

use crate::process::Command;
use std::path::Path;

use serde_json::{Value, json};

use super::{Found, Pinned, must};
use crate::context::Context;
use crate::home::{LockedPackage, PackageKind, files};
use crate::{Result, Slug, ToolsError};

/// Resolves the packages, without installing or running anything of them.
pub(super) fn pin(
    slug: &Slug,
    found: &[&Found],
    scratch: &Path,
    context: &Context<'_>,
    pinned: &mut Pinned,
) -> Result<()> {
    let package =
        json!({"name": format!("atelier-tool-{slug}"), "private": true, "version": "0.0.0"});
    let text = serde_json::to_vec_pretty(&package).unwrap_or_default();
    files::write_new(&scratch.join("package.json"), &text, 0o600)?;
    let mut npm = Command::new("npm");
    npm.current_dir(scratch).args([
        "install",
        "--package-lock-only",
        "--ignore-scripts",
        "--save-exact",
        "--no-audit",
        "--no-fund",
        "--no-update-notifier",
        "--loglevel=error",
        "--",
    ]);
    npm.args(
        found.iter().map(|f| format!("{}@{}", f.name, f.wants.as_deref().unwrap_or("latest"))),
    );
    must(slug.as_str(), "npm install --package-lock-only", npm, context)?;
    for name in ["package.json", "package-lock.json"] {
        let path = scratch.join(name);
        let bytes = std::fs::read(&path).map_err(ToolsError::file("read", &path))?;
        pinned.files.insert(name.to_owned(), bytes);
    }
    let lock: Value =
        serde_json::from_slice(&pinned.files["package-lock.json"]).unwrap_or_default();
    for found in found {
        let entry = &lock["packages"][format!("node_modules/{}", found.name)];
        let text = |key: &str| entry[key].as_str().map(str::to_owned);
        let Some(version) = text("version") else {
            return Err(ToolsError::Packages {
                slug: slug.to_string(),
                doing: "npm install --package-lock-only".into(),
                why: format!("its lock has no {}", found.name),
            });
        };
        pinned.packages.push(LockedPackage {
            kind: PackageKind::Npm,
            name: found.name.clone(),
            version,
            integrity: text("integrity"),
            sha256s: Vec::new(),
            digest: None,
        });
    }
    Ok(())
}

/// Installs what the lock in `folder` says, nothing else; install scripts only when `scripts`.
pub(super) fn install(
    slug: &Slug,
    folder: &Path,
    scripts: bool,
    context: &Context<'_>,
) -> Result<()> {
    let mut npm = Command::new("npm");
    npm.current_dir(folder).args([
        "ci",
        "--omit=dev",
        "--no-audit",
        "--no-fund",
        "--no-update-notifier",
        "--loglevel=error",
        if scripts { "--foreground-scripts=false" } else { "--ignore-scripts" },
    ]);
    must(slug.as_str(), "npm ci", npm, context).map(drop)
}
