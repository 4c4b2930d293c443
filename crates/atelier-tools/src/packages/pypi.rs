//! PyPI: every package of the closure with its hashes, and a virtual environment made of them alone.
//!
//! `uv` is used when it is there: it knows the hashes for every platform. pip's report has those of this one.

use crate::process::Command;
use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{Found, Pinned, must};
use crate::context::Context;
use crate::home::{LockedPackage, PackageKind, files};
use crate::process;
use crate::{Result, Slug, ToolsError};

fn requirement(found: &Found) -> String {
    format!("{}{}", found.name, found.wants.as_deref().unwrap_or_default())
}

/// The name as PyPI compares it (PEP 503), without extras.
pub(super) fn normal(name: &str) -> String {
    let base = name.split('[').next().unwrap_or(name);
    let words: Vec<_> = base.split(['-', '_', '.']).filter(|w| !w.is_empty()).collect();
    words.join("-").to_ascii_lowercase()
}

/// Resolves the packages, without installing or running anything of them.
pub(super) fn pin(
    slug: &Slug,
    found: &[&Found],
    scratch: &Path,
    context: &Context<'_>,
    pinned: &mut Pinned,
) -> Result<()> {
    let wanted: Vec<String> = found.iter().map(|f| requirement(f)).collect();
    files::write_new(&scratch.join("in.txt"), (wanted.join("\n") + "\n").as_bytes(), 0o600)?;
    let closure = match process::find("uv", None) {
        Some(uv) => with_uv(slug, &uv, scratch, context)?,
        None => with_pip(slug, scratch, context)?,
    };
    let mut text = String::new();
    for (name, (version, hashes)) in &closure {
        text.push_str(&format!("{name}=={version}"));
        hashes.iter().for_each(|hash| text.push_str(&format!(" \\\n    --hash=sha256:{hash}")));
        text.push('\n');
    }
    pinned.files.insert("requirements.txt".into(), text.into_bytes());
    for found in found {
        let name = normal(&found.name);
        let Some((version, hashes)) = closure.get(&name) else { continue };
        pinned.packages.push(LockedPackage {
            kind: PackageKind::Pypi,
            name: found.name.clone(),
            version: version.clone(),
            integrity: None,
            sha256s: hashes.clone(),
            digest: None,
        });
    }
    Ok(())
}

type Closure = BTreeMap<String, (String, Vec<String>)>;

/// `uv` with the certificate authorities of this machine, as git, pip and we ourselves have them; its own list knows no
/// company's.
fn calling(uv: &Path) -> Command {
    const NAMES: [&str; 2] = ["UV_SYSTEM_CERTS", "UV_NATIVE_TLS"];
    let mut command = Command::new(uv);
    if NAMES.iter().all(|name| std::env::var_os(name).is_none()) {
        command.envs(NAMES.map(|name| (name, "true")));
    }
    command
}

fn with_uv(slug: &Slug, uv: &Path, scratch: &Path, context: &Context<'_>) -> Result<Closure> {
    let mut command = calling(uv);
    command.current_dir(scratch).args([
        "pip",
        "compile",
        "-q",
        "--universal",
        "--generate-hashes",
        "--no-annotate",
        "--no-header",
        "in.txt",
    ]);
    let ended = must(slug.as_str(), "uv pip compile", command, context)?;
    let mut closure = Closure::new();
    let mut current = None;
    for word in ended.text().split_whitespace() {
        if let Some((name, version)) = word.split_once("==") {
            let name = normal(name);
            closure.insert(name.clone(), (version.to_owned(), Vec::new()));
            current = Some(name);
        } else if let Some(hash) = word.strip_prefix("--hash=sha256:")
            && let Some(entry) = current.as_ref().and_then(|name| closure.get_mut(name))
        {
            entry.1.push(hash.to_owned());
        }
    }
    closure.values_mut().for_each(|(_, hashes)| hashes.sort());
    Ok(closure)
}

fn with_pip(slug: &Slug, scratch: &Path, context: &Context<'_>) -> Result<Closure> {
    let mut pip = Command::new("python3");
    pip.current_dir(scratch).args([
        "-m",
        "pip",
        "install",
        "-q",
        "--dry-run",
        "--ignore-installed",
        "--only-binary=:all:",
        "--disable-pip-version-check",
        "--no-input",
        "--report",
        "report.json",
        "-r",
        "in.txt",
    ]);
    must(slug.as_str(), "pip install --dry-run", pip, context)?;
    let path = scratch.join("report.json");
    let bytes = std::fs::read(&path).map_err(ToolsError::file("read", &path))?;
    let report: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let mut closure = Closure::new();
    for item in report["install"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = normal(&text(&item["metadata"]["name"]));
        let archive = &item["download_info"]["archive_info"];
        let hash = text(&archive["hashes"]["sha256"]);
        let hash = match hash.is_empty() {
            true => text(&archive["hash"]).trim_start_matches("sha256=").to_owned(),
            false => hash,
        };
        if hash.len() != 64 {
            return Err(ToolsError::Packages {
                slug: slug.to_string(),
                doing: "pip install --dry-run".into(),
                why: format!("its report has no hash for {name}"),
            });
        }
        closure.insert(name, (text(&item["metadata"]["version"]), vec![hash]));
    }
    Ok(closure)
}

/// Makes the virtual environment `folder` of `requirements`, every file checked against its hash.
pub(super) fn install(
    slug: &Slug,
    folder: &Path,
    requirements: &Path,
    context: &Context<'_>,
) -> Result<()> {
    let python = folder.join("bin/python");
    if let Some(uv) = process::find("uv", None) {
        let mut venv = calling(&uv);
        venv.args(["venv", "-q", "--no-project"]).arg(folder);
        must(slug.as_str(), "uv venv", venv, context)?;
        let mut pip = calling(&uv);
        pip.args(["pip", "install", "-q", "--require-hashes", "--no-deps", "--python"]).arg(python);
        pip.arg("-r").arg(requirements);
        return must(slug.as_str(), "uv pip install", pip, context).map(drop);
    }
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(folder);
    must(slug.as_str(), "python3 -m venv", venv, context)?;
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "install",
        "-q",
        "--require-hashes",
        "--no-deps",
        "--only-binary=:all:",
        "--no-input",
        "--disable-pip-version-check",
        "-r",
    ]);
    pip.arg(requirements);
    must(slug.as_str(), "pip install --require-hashes", pip, context).map(drop)
}
