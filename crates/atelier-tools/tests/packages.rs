//! Pins: real packages from npm and PyPI, installed by their hashes, run through the shims.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::process::Command;

use atelier_api::Fault;
use atelier_tools::home::{Lock, PackageKind};
use atelier_tools::verbs::{self, InstallOptions};
use atelier_tools::{Home, shim};
use support::*;

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn a_package_of_npm_is_pinned_installed_and_run_without_the_network() {
    let world = World::new();
    let folder = world.folder.path().join("semver");
    plugin(
        &folder,
        "Semver",
        "mcp: {transport: stdio, command: npx, args: ['-y', semver, '--help']}\n",
    );
    write(&folder.join("mcp.sh"), "#!/bin/sh\nARGS=(-y \"semver@^7\")\nexec npx \"${ARGS[@]}\"\n");
    let added = world.add("./semver").unwrap();
    assert_eq!(
        (added.packages[0].kind, added.packages[0].name.as_str()),
        (PackageKind::Npm, "semver")
    );
    assert!(
        added.packages[0].version.starts_with("7.")
            && added.packages[0].integrity.as_ref().unwrap().starts_with("sha512-")
    );
    let slug = added.slug.clone();
    let lock = Lock::read(&world.home).unwrap();
    let locked = lock.tool(&slug).unwrap();
    let run = shim::instead(
        &world.home,
        &slug,
        locked,
        &words("npx -y semver@latest 1.2.3 2.0.0-x"),
        true,
    )
    .unwrap();
    assert_eq!(run.unpinned, None);
    let output = Command::new(&run.program).args(&run.args).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "1.2.3\n2.0.0-x");
    // What the lock does not name.
    let other = shim::instead(&world.home, &slug, locked, &words("npx -y cowsay hi"), true);
    assert_eq!(other.unwrap_err().exit().code(), 5);
    let other =
        shim::instead(&world.home, &slug, locked, &words("npx -y cowsay hi"), false).unwrap();
    assert!(other.unpinned.is_some() && other.program.ends_with("npx"));
    // Our script of that name, as a plugin finds it, calls us.
    let shims = shim::write(&world.home).unwrap();
    let output = Command::new(shims.join("npx"))
        .env("ATELIER_BIN", "echo")
        .args(["a", "b c"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "tool shim npx a b c");
    world.assert_clean();
    elsewhere(&world);
}

/// The home cloned on another machine: the same bytes, the same packages, by the lock alone.
fn elsewhere(world: &World) {
    let other = Home::below(world.folder.path().join("other"));
    std::fs::create_dir_all(other.root().parent().unwrap()).unwrap();
    git(
        world.folder.path(),
        &["clone", "-q", world.home.root().to_str().unwrap(), other.root().to_str().unwrap()],
    );
    let shell = Shell(&other);
    let context = context(&shell, QUIET);
    assert!(verbs::init(&other, None, &context).unwrap().existing);
    let frozen = InstallOptions { frozen: true, ..InstallOptions::default() };
    let installed = verbs::install(&other, &frozen, &context).unwrap();
    assert_eq!(installed[0].done, ["packages"]);
    assert!(verbs::install(&other, &frozen, &context).unwrap()[0].done.is_empty());
    assert_eq!(snapshot(other.root()), world.snapshot());
    assert!(verbs::show(&other, "semver").unwrap().installed);
    // A file that is not what the lock says.
    write(&other.plugins().join("semver/mcp.sh"), "changed");
    std::fs::remove_file(other.plugins().join("semver/plugin.yaml")).unwrap();
    let error = verbs::install(&other, &frozen, &context).unwrap_err();
    assert_eq!(error.exit().code(), 5);
    assert!(
        error.to_string().contains("mcp.sh is changed")
            && error.to_string().contains("plugin.yaml is missing"),
        "{error}"
    );
    let installed = verbs::install(&other, &InstallOptions::default(), &context).unwrap();
    assert_eq!(
        (installed[0].done.as_slice(), installed[0].notes.len()),
        (["files".to_owned()].as_slice(), 1)
    );
    let theirs = InstallOptions { theirs: true, ..InstallOptions::default() };
    verbs::install(&other, &theirs, &context).unwrap();
    assert!(verbs::show(&other, "semver").unwrap().modified.is_empty());
    // A package's lock that somebody tampered with, with a commit of its own.
    let lock = other.root().join("locks/semver/package-lock.json");
    write(&lock, &std::fs::read_to_string(&lock).unwrap().replace("sha512-", "sha512-A"));
    git(other.root(), &["commit", "-qam", "evil"]);
    assert_eq!(
        verbs::install(&other, &InstallOptions::default(), &context).unwrap_err().exit().code(),
        5
    );
}

#[test]
fn a_package_of_pypi_is_pinned_with_hashes_and_run_from_its_environment() {
    let world = World::new();
    let folder = world.folder.path().join("py");
    plugin(
        &folder,
        "Py Tool",
        "mcp: {transport: stdio, command: uvx, args: ['--from', 'pycowsay==0.0.0.2', pycowsay]}\n",
    );
    let added = world.add("./py").unwrap();
    let package = &added.packages[0];
    assert_eq!(
        (package.kind, package.version.as_str(), package.sha256s[0].len()),
        (PackageKind::Pypi, "0.0.0.2", 64)
    );
    let lock = Lock::read(&world.home).unwrap();
    let argv = words("uvx --from pycowsay==0.0.0.2 pycowsay moo");
    let run = shim::instead(&world.home, &added.slug, lock.tool(&added.slug).unwrap(), &argv, true)
        .unwrap();
    let output = Command::new(&run.program).args(&run.args).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("moo"), "{output:?}");
    let requirements =
        std::fs::read_to_string(world.home.locks(&added.slug).join("requirements.txt")).unwrap();
    assert!(requirements.contains("--hash=sha256:"), "{requirements}");
    // A lock that was tampered with is brought back before anything is installed from it.
    std::fs::remove_dir_all(world.home.packages(&added.slug)).unwrap();
    let path = world.home.locks(&added.slug).join("requirements.txt");
    write(&path, &requirements.replace("sha256:", "sha256:0"));
    let shell = Shell(&world.home);
    verbs::install(&world.home, &InstallOptions::default(), &context(&shell, QUIET)).unwrap();
    assert_eq!(
        std::fs::read_to_string(world.home.locks(&added.slug).join("requirements.txt")).unwrap(),
        requirements
    );
    assert!(verbs::show(&world.home, added.slug.as_str()).unwrap().installed);
}

#[test]
fn a_package_that_is_not_there_takes_everything_back() {
    let world = World::new();
    let before = world.snapshot();
    let folder = world.folder.path().join("none");
    plugin(
        &folder,
        "None",
        "mcp: {transport: stdio, command: npx, args: ['-y', '@atelier-no-such-scope/none@9.9.9']}\n",
    );
    let error = world.add("./none").unwrap_err();
    assert_eq!(error.code(), "tool.packages", "{error}");
    assert_eq!(world.snapshot(), before);
    assert!(!world.home.local().join("packages/none").exists());
    world.assert_clean();
}

#[test]
fn install_scripts_of_packages_run_only_when_allowed() {
    let world = World::new();
    // A package with an install script, from a folder: npm's lock takes it as it takes any other.
    let folder = world.folder.path().join("plain");
    plugin(&folder, "Plain", "packages:\n- npm: esbuild@0.25.0\n");
    world.add("./plain").unwrap();
    let modules = world.home.local().join("packages/plain/npm/node_modules");
    assert!(modules.join("esbuild/package.json").exists());
    // Its postinstall would have replaced this script by the program itself.
    let text = std::fs::read(modules.join("esbuild/bin/esbuild")).unwrap();
    assert!(text.starts_with(b"#!"), "the script ran");
}
