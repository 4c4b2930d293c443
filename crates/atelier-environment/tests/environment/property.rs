//! Random trees and random edits: what the kernel shows is the project as it was, and the diff
//! makes of a copy what the environment is.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use proptest::prelude::*;

use crate::support::{World, inside, sh};

/// One edit of a tree. Paths are picked from few names, so that edits meet.
#[derive(Debug, Clone)]
enum Edit {
    Write(String, Vec<u8>),
    Link(String, String),
    Remove(String),
    Executable(String),
    Folder(String),
    Rename(String, String),
}

fn path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "c d", "e.f", "ü"]);
    prop::collection::vec(name, 1..4).prop_map(|parts| parts.join("/"))
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec!["one\n", "two\n", "three\r\n", "\n", "end"]);
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.concat().into_bytes())
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        5 => (path(), content()).prop_map(|(p, c)| Edit::Write(p, c)),
        // Into nowhere: git's own `apply` gives up at a link that leads in circles.
        1 => (path(), path()).prop_map(|(p, t)| Edit::Link(p, format!("to/{t}"))),
        2 => path().prop_map(Edit::Remove),
        1 => path().prop_map(Edit::Executable),
        1 => path().prop_map(Edit::Folder),
        1 => (path(), path()).prop_map(|(p, t)| Edit::Rename(p, t)),
    ]
}

fn remove(path: &Path) {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => drop(std::fs::remove_dir_all(path)),
        Ok(_) => drop(std::fs::remove_file(path)),
        Err(_) => {}
    }
}

/// Edits that do not fit (a folder above is a file) do nothing.
fn make(root: &Path, edit: &Edit) {
    let ready = |p: &str| {
        let path = root.join(p);
        let inside = path.ancestors().skip(1).take_while(|a| *a != root);
        if inside.clone().any(|a| a.is_symlink() || a.is_file()) {
            return None;
        }
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        Some(path)
    };
    match edit {
        Edit::Write(p, text) => {
            if let Some(path) = ready(p) {
                remove(&path);
                std::fs::write(path, text).unwrap();
            }
        }
        Edit::Link(p, target) => {
            if let Some(path) = ready(p) {
                remove(&path);
                symlink(target, path).unwrap();
            }
        }
        Edit::Remove(p) => drop(ready(p).map(|path| remove(&path))),
        Edit::Executable(p) => {
            if let Some(path) = ready(p).filter(|p| p.is_file() && !p.is_symlink()) {
                std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
            }
        }
        Edit::Folder(p) => {
            if let Some(path) = ready(p).filter(|p| p.symlink_metadata().is_err()) {
                std::fs::create_dir(path).unwrap();
            }
        }
        Edit::Rename(from, to) => {
            if let (Some(from), Some(to)) = (ready(from), ready(to)) {
                let _ = std::fs::rename(from, to);
            }
        }
    }
}

const TREE: &str = "find . ! -type d -printf '%P %y %l\n' | LC_ALL=C sort; find . -type f -perm -100 | LC_ALL=C sort
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum";

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_with_any_edits(
        first in prop::collection::vec(edit(), 0..25),
        second in prop::collection::vec(edit(), 0..12),
        third in prop::collection::vec(edit(), 0..12),
    ) {
        let world = World::plain();
        first.iter().for_each(|e| make(&world.root, e));
        let one = world.create("one");
        prop_assert_eq!(world.view(&one), world.listing());
        second.iter().for_each(|e| make(&world.root, e));
        let two = world.create("two");
        prop_assert_eq!(world.view(&two), world.listing());

        // git knows no empty folders, and stumbles over nested ones in the place of a file.
        // The third edits happen inside: made in a copy, and carried in by the shell.
        let copy = world.tmp.path().join("copy");
        sh(world.tmp.path(), "cp -a project copy");
        third.iter().for_each(|e| make(&copy, e));
        let carry = format!("find . -mindepth 1 -delete; cp -a {}/. .", copy.display());
        inside(&two, &carry);
        let patch = world.tmp.path().join("patch");
        let diff = world.diff(&two);
        diff.write_unified(&mut std::fs::File::create(&patch).unwrap()).unwrap();
        let work = world.tmp.path().join("work");
        sh(world.tmp.path(), "cp -a project work");
        sh(&work, "find . -mindepth 1 -depth -type d -empty -delete; GIT_CEILING_DIRECTORIES=/ git apply --allow-empty --whitespace=nowarn ../patch");
        prop_assert_eq!(sh(&work, TREE), inside(&two, TREE));
        let project = world.project();
        atelier_environment::apply(&two, &project, &atelier_environment::ApplyOptions::default()).unwrap();
        prop_assert_eq!(sh(&world.root, TREE), inside(&two, TREE));
    }
}
