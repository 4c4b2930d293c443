//! `npx` and `uvx` as a plugin finds them: they run what the lock names, from this machine's disk.
//!
//! Two small scripts lie first on a plugin's `PATH`. They call `atelier tool shim npx …`, which asks here.

use std::path::{Path, PathBuf};

use atelier_plugin::Plugin;
use serde_json::Value;

use super::find::{UVX_VALUES, docker_image_at, npx_packages, uvx_packages};
use super::pypi::normal;
use crate::home::{Locked, LockedPackage, PackageKind, files};
use crate::{Home, Result, Slug, ToolsError, process};

pub use super::shim_alone::write_alone;

/// What to run instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instead {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Why it is not a pinned one; nothing when it is.
    pub unpinned: Option<String>,
}

/// Writes the scripts; gives the folder that goes first on `PATH`. `ATELIER_BIN` names our program when they run,
/// `ATELIER_TOOL` the tool.
///
/// # Errors
/// When they can't be written.
pub fn write(home: &Home) -> Result<PathBuf> {
    for name in ["npx", "uvx"] {
        let path = home.shims().join(name);
        let text =
            format!("#!/bin/sh\nexec \"${{ATELIER_BIN:-atelier}}\" tool shim {name} \"$@\"\n");
        if files::read(&path)?.as_deref() != Some(&text) {
            files::replace(&path, text.as_bytes(), 0o755)?;
        }
    }
    Ok(home.shims())
}

/// What a call of `npx`, `uvx` (or `uv tool run`, `docker run`, given as they are typed) of a tool runs. What the
/// lock does not name is refused when `frozen`, and goes to the program itself with a word otherwise.
///
/// # Errors
/// [`ToolsError::Frozen`], and [`ToolsError::Packages`] when the lock names it and it is not installed.
pub fn instead(
    home: &Home,
    slug: &Slug,
    locked: &Locked,
    argv: &[String],
    frozen: bool,
) -> Result<Instead> {
    let Some((program, args)) = argv.split_first() else {
        return Err(ToolsError::Usage("no program was named".into()));
    };
    let name = program.rsplit('/').next().unwrap_or(program);
    let word = |at: usize| args.get(at).map_or("", String::as_str);
    let pinned = match name {
        "npx" => npx(home, slug, locked, args)?,
        "uvx" => uvx(home, slug, locked, args)?,
        "uv" if word(0) == "tool" && word(1) == "run" => uvx(home, slug, locked, &args[2..])?,
        "docker" | "podman" if word(0) == "run" => return Ok(docker(home, program, args, locked)),
        _ => {
            return Ok(Instead {
                program: itself(home, program),
                args: args.to_vec(),
                unpinned: None,
            });
        }
    };
    if let Some(instead) = pinned {
        return Ok(instead);
    }
    let why = format!("{slug}: the lock has no package for `{}`", argv.join(" "));
    match frozen {
        true => Err(ToolsError::Frozen(vec![why])),
        false => {
            Ok(Instead { program: itself(home, program), args: args.to_vec(), unpinned: Some(why) })
        }
    }
}

/// The same for an installed tool.
///
/// # Errors
/// As [`instead`], and [`ToolsError::Unknown`].
pub fn of_tool(home: &Home, slug: &Slug, argv: &[String], frozen: bool) -> Result<Instead> {
    let lock = crate::home::Lock::read(home)?;
    instead(home, slug, lock.tool(slug)?, argv, frozen)
}

/// The program itself, not our script of the same name.
fn itself(home: &Home, program: &str) -> PathBuf {
    match program.contains('/') {
        true => PathBuf::from(program),
        false => {
            process::find(program, Some(&home.shims())).unwrap_or_else(|| PathBuf::from(program))
        }
    }
}

/// Cuts a package's name from what `npx` is given.
fn npm_name(package: &str) -> &str {
    match package.get(1..).and_then(|rest| rest.find('@')) {
        Some(at) => &package[..=at],
        None => package,
    }
}

fn is_locked(locked: &Locked, kind: PackageKind, same: impl Fn(&str) -> bool) -> bool {
    locked.packages.iter().any(|p| p.kind == kind && same(&p.name))
}

fn npx(home: &Home, slug: &Slug, locked: &Locked, args: &[String]) -> Result<Option<Instead>> {
    let packages = npx_packages(args);
    let Some(package) = packages.first().map(|p| npm_name(p)) else { return Ok(None) };
    if !is_locked(locked, PackageKind::Npm, |name| name == package) {
        return Ok(None);
    }
    // `npx -p package command …`, or `npx package …`
    let named = args.iter().any(|a| a == "-p" || a == "--package" || a.starts_with("--package="));
    let words =
        after_options(args, &["-p", "--package", "-w", "--workspace", "--registry", "--cache"]);
    let (command, rest) = match (named, words.split_first()) {
        (true, Some((command, rest))) => (Some(command.as_str()), rest),
        (false, Some((_, rest))) => (None, rest),
        (_, None) => (None, words),
    };
    let modules = home.packages(slug).join("npm/node_modules");
    let file = command_of(&modules, package, command).ok_or_else(|| ToolsError::Packages {
        slug: slug.to_string(),
        doing: format!("running {package}"),
        why: "it is pinned and not installed: atelier tool install".into(),
    })?;
    Ok(Some(Instead { program: file, args: rest.to_vec(), unpinned: None }))
}

/// The words that are left when options and their values are gone.
fn after_options<'a>(args: &'a [String], values: &[&str]) -> &'a [String] {
    let mut at = 0;
    while let Some(arg) = args.get(at) {
        at += match arg.as_str() {
            "--" => return &args[at + 1..],
            flag if values.contains(&flag) => 2,
            flag if flag.starts_with('-') => 1,
            _ => break,
        };
    }
    args.get(at..).unwrap_or_default()
}

/// The program of a package, as npm chooses it: the only one, or the one that is called as the package is.
pub(super) fn command_of(modules: &Path, package: &str, command: Option<&str>) -> Option<PathBuf> {
    let text = std::fs::read_to_string(modules.join(package).join("package.json")).ok()?;
    let about: Value = serde_json::from_str(&text).ok()?;
    let short = package.rsplit('/').next().unwrap_or(package);
    let name = match (command, &about["bin"]) {
        (Some(command), _) => command.to_owned(),
        (None, Value::String(_)) => short.to_owned(),
        (None, Value::Object(bins)) if bins.len() == 1 => bins.keys().next()?.clone(),
        (None, Value::Object(bins)) if bins.contains_key(short) => short.to_owned(),
        _ => return None,
    };
    let file = modules.join(".bin").join(name);
    file.exists().then_some(file)
}

fn uvx(home: &Home, slug: &Slug, locked: &Locked, args: &[String]) -> Result<Option<Instead>> {
    let packages = uvx_packages(args);
    let known = |package: &String| {
        let end = package.find(['=', '<', '>', '~', '!', '@', ' ']).unwrap_or(package.len());
        let wanted = normal(&package[..end]);
        is_locked(locked, PackageKind::Pypi, |name| normal(name) == wanted)
    };
    if packages.is_empty() || !packages.iter().all(known) {
        return Ok(None);
    }
    let values = [&["--from", "--with"], UVX_VALUES].concat();
    let words = after_options(args, &values);
    let Some((command, rest)) = words.split_first() else { return Ok(None) };
    let end = command.find(['=', '<', '>', '~', '@', '[']).unwrap_or(command.len());
    let file = home.packages(slug).join("pypi/bin").join(&command[..end]);
    match file.exists() {
        true => Ok(Some(Instead { program: file, args: rest.to_vec(), unpinned: None })),
        false => Err(ToolsError::Packages {
            slug: slug.to_string(),
            doing: format!("running {command}"),
            why: "it is pinned and not installed: atelier tool install".into(),
        }),
    }
}

/// The same call with the image's digest.
fn docker(home: &Home, program: &str, args: &[String], locked: &Locked) -> Instead {
    let mut args = args.to_vec();
    let unpinned = match docker_image_at(&args[1..]).map(|at| at + 1) {
        None => Some("no image was named".to_owned()),
        Some(at) => match by_digest(locked, &args[at]) {
            Some(image) => {
                args[at] = image;
                None
            }
            None => Some(format!("the lock has no digest of {}", args[at])),
        },
    };
    Instead { program: itself(home, program), args, unpinned }
}

/// An image by its digest, if one is known. The tag goes: it may have moved.
fn by_digest(locked: &Locked, image: &str) -> Option<String> {
    if image.contains('@') {
        return Some(image.to_owned());
    }
    let colon = image.rfind(':').filter(|at| !image[*at..].contains('/'));
    let (bare, tag) = colon.map_or((image, "latest"), |at| (&image[..at], &image[at + 1..]));
    let is_it =
        |p: &&LockedPackage| p.kind == PackageKind::Oci && p.name == bare && p.version == tag;
    let digest = locked.packages.iter().find(is_it)?.digest.as_ref()?;
    Some(format!("{bare}@{digest}"))
}

/// The images that Atelier itself starts for a plugin, its service and its MCP server, by the digests of the lock. What
/// that does not name stays as it is, as in a home that is being made.
pub fn pin_images(home: &Home, slug: &Slug, plugin: &mut Plugin) {
    let Ok(lock) = crate::home::Lock::read(home) else { return };
    let Some(locked) = lock.tools.get(slug) else { return };
    if let Some(service) = &mut plugin.service {
        if let Some(image) = service.image.as_mut()
            && let Some(pinned) = by_digest(locked, image)
        {
            *image = pinned;
        }
        if let Some((program, args)) = service.command.split_first_mut() {
            pin_run(program, args, locked);
        }
    }
    if let Some(mcp) = &mut plugin.mcp
        && let Some(program) = mcp.command.clone()
    {
        pin_run(&program, &mut mcp.args, locked);
    }
}

/// `docker run … IMAGE …` with the image by its digest.
fn pin_run(program: &str, args: &mut [String], locked: &Locked) {
    let engine = ["docker", "podman"].contains(&program.rsplit('/').next().unwrap_or(program));
    if !engine || args.first().is_none_or(|verb| verb != "run") {
        return;
    }
    let Some(at) = docker_image_at(&args[1..]).map(|at| at + 1) else { return };
    if let Some(pinned) = by_digest(locked, &args[at]) {
        args[at] = pinned;
    }
}
