//! `npx` and `uvx` for a sandbox, where there is no home to look into and no `atelier` to ask: the scripts know by
//! themselves what the lock pins.
//!
//! What must not be here: what the same two do outside of a sandbox (`shim`).

use std::fmt::Write as _;
use std::path::Path;

use super::pypi::normal;
use super::shim::command_of;
use crate::home::{Lock, Locked, PackageKind, files};
use crate::{Home, Result, Slug};

/// Where the arguments of `npx` begin to be the command's, and the package that they name.
const NPX: &str = r#"package=
while [ $# -gt 0 ]; do
    case $1 in
    --) shift; break ;;
    -p | --package) package=${package:-$2}; shift 2 ;;
    --package=*) package=${package:-${1#*=}}; shift ;;
    -w | --workspace | --registry | --cache) shift 2 ;;
    -*) shift ;;
    *) break ;;
    esac
done
command=
[ -z "$package" ] || { command=$1; shift; }
[ -n "$package" ] || { package=$1; shift; }
case $package in
@*@*) package=${package%@*} ;;
@*) ;;
*) package=${package%%@*} ;;
esac
case $package in
"#;

/// The same of `uvx`. Names are compared as PyPI does.
const UVX: &str = r#"package=
while [ $# -gt 0 ]; do
    case $1 in
    --) shift; break ;;
    --from) package=$2; shift 2 ;;
    --from=*) package=${1#*=}; shift ;;
    --with | -p | --python | --index-url | --index | --extra-index-url | --directory | --env-file) shift 2 ;;
    -*) shift ;;
    *) break ;;
    esac
done
command=${1%%[=<>~@[]*}
shift
package=${package:-$command}
package=$(printf %s "${package%%[=<>~!@[ ]*}" | tr 'A-Z_.' 'a-z--' | tr -s -)
case $package in
"#;

/// What is done with what the lock does not name: the program itself, with a word, as outside of a sandbox.
const ITSELF: &str = r#"*)
    echo "atelier: the lock of this tool has no package for $said" >&2
    PATH=$(printf %s "$PATH" | tr : '\n' | grep -vxF "$own" | paste -sd :)
    export PATH
    eval "exec $name $all"
    ;;
esac
"#;

/// The script's arguments, once as they can be read back by `eval`, before they are taken apart.
const BEGIN: &str = r#"#!/bin/sh
# Made by Atelier: what the lock pins, from the packages beside it.
name=${0##*/} own=${0%/*} said="$name $*" all=
for word; do
    all="$all '$(printf %s "$word" | sed "s/'/'\\\\''/g")'"
done
"#;

/// Writes both into `folder`, for packages of a tool that lie in `packages` where they run; whether there is anything
/// that they pin.
///
/// # Errors
/// When they can't be written.
pub fn write_alone(home: &Home, slug: &Slug, packages: &Path, folder: &Path) -> Result<bool> {
    let lock = Lock::read(home)?;
    let locked = lock.tool(slug)?;
    let (npm, pypi) = (npm(locked, packages), pypi(locked, packages));
    let any = !(npm.is_empty() && pypi.is_empty());
    for (name, words, arms) in [("npx", NPX, npm), ("uvx", UVX, pypi)] {
        let text = format!("{BEGIN}{words}{arms}{ITSELF}");
        files::replace(&folder.join(name), text.as_bytes(), 0o755)?;
    }
    Ok(any)
}

fn named(locked: &Locked, kind: PackageKind) -> impl Iterator<Item = &str> {
    locked.packages.iter().filter(move |p| p.kind == kind).map(|p| p.name.as_str())
}

/// A `case` for each package: its own command, unless another of its commands was named.
fn npm(locked: &Locked, packages: &Path) -> String {
    let modules = packages.join("npm/node_modules");
    let mut arms = String::new();
    for name in named(locked, PackageKind::Npm) {
        let own = command_of(&modules, name, None);
        let command = match own.as_deref().and_then(Path::file_name) {
            Some(own) => format!("${{command:-{}}}", quoted(own.as_ref())),
            None => "${command:?it has several: npx -p PACKAGE COMMAND}".to_owned(),
        };
        let (name, bin) = (quoted(name.as_ref()), quoted(&modules.join(".bin")));
        let _ = writeln!(arms, "{name}) command={command}; exec {bin}/\"$command\" \"$@\" ;;");
    }
    arms
}

fn pypi(locked: &Locked, packages: &Path) -> String {
    let bin = quoted(&packages.join("pypi/bin"));
    let mut arms = String::new();
    for name in named(locked, PackageKind::Pypi) {
        let name = quoted(normal(name).as_ref());
        let _ = writeln!(arms, "{name}) exec {bin}/\"$command\" \"$@\" ;;");
    }
    arms
}

/// A word that a shell takes as it is.
fn quoted(text: &Path) -> String {
    format!("'{}'", text.to_string_lossy().replace('\'', r"'\''"))
}

#[cfg(test)]
#[path = "tests/shim_alone.rs"]
mod tests;
