//! What the scripts do, by running them.

use std::process::Command;

use super::*;
use crate::home::LockedPackage;

/// Two scripts beside packages whose programs say who they are, and programs named as the scripts are.
fn lab(folder: &Path) -> Home {
    let home = Home::below(folder.join("atelier"));
    let slug: Slug = "two".parse().unwrap();
    let package = |kind, name: &str| LockedPackage {
        kind,
        name: name.into(),
        version: "1".into(),
        integrity: None,
        sha256s: Vec::new(),
        digest: None,
    };
    let packages =
        vec![package(PackageKind::Npm, "@o/files"), package(PackageKind::Pypi, "The_Thing")];
    let mut lock = Lock::default();
    lock.tools.insert(slug.clone(), Locked { packages, ..Locked::default() });
    files::replace(&home.lock_file(), &lock.bytes(), 0o600).unwrap();
    let there = folder.join("it's here");
    let say = |path: &str| {
        let text = "#!/bin/sh\necho \"${0##*/}\" \"$#\" \"$@\"\n";
        files::replace(&there.join(path), text.as_bytes(), 0o755).unwrap();
    };
    say("npm/node_modules/.bin/files-server");
    say("npm/node_modules/.bin/other");
    say("pypi/bin/the-thing");
    say("usual/npx");
    let about = br#"{"bin": {"files-server": "x", "other": "y", "files": "z"}}"#;
    files::replace(&there.join("npm/node_modules/@o/files/package.json"), about, 0o600).unwrap();
    say("npm/node_modules/.bin/files");
    assert!(write_alone(&home, &slug, &there, &there.join("shims")).unwrap());
    home
}

#[test]
fn what_the_lock_pins_is_run_from_beside_and_the_rest_by_the_program_itself() {
    let folder = tempfile::tempdir().unwrap();
    lab(folder.path());
    let there = folder.path().join("it's here");
    let shims = there.join("shims");
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{}:{path}", shims.display(), there.join("usual").display());
    for (program, args, said) in [
        ("npx", &["-y", "@o/files@1.2", "a b", "c"][..], "files 2 a b c"),
        ("npx", &["@o/files"], "files 0"),
        ("npx", &["-p", "@o/files@latest", "other", "-x"], "other 1 -x"),
        ("npx", &["--package=@o/files", "--", "files-server"], "files-server 0"),
        ("uvx", &["the-thing==1.0", "it's"], "the-thing 1 it's"),
        ("uvx", &["--from", "the.thing[x]>=1", "the-thing"], "the-thing 0"),
        ("npx", &["-y", "else where", "it's"], "npx 3 -y else where it's"),
    ] {
        let done = Command::new(shims.join(program)).args(args).env("PATH", &path).output();
        let done = done.unwrap();
        let errors = String::from_utf8_lossy(&done.stderr);
        assert_eq!(String::from_utf8_lossy(&done.stdout).trim(), said, "{args:?}: {errors}");
        assert_eq!(errors.contains("no package for"), said.starts_with("npx"), "{errors}");
    }
}
