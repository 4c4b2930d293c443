//! Names on this machine, on trees of files: the machine's own resolver and store are not touched.

mod setup;
mod status;
mod trust;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::support::Lab;

/// The files of a system, as an image has them.
struct Tree {
    root: PathBuf,
}

impl Tree {
    /// With folders, and systemd-resolved's stub in `resolv.conf`.
    fn new(lab: &Lab) -> Self {
        let tree = Self { root: lab.user_home().join("system") };
        for folder in ["etc/systemd", "var/lib", "usr/local/share/ca-certificates"] {
            fs::create_dir_all(tree.root.join(folder)).unwrap();
        }
        fs::write(tree.root.join("etc/resolv.conf"), "nameserver 127.0.0.53\n").unwrap();
        tree
    }

    /// `atelier dns ARGS --root TREE`.
    fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        let mut all = vec!["dns"];
        all.extend(args);
        all.extend(["--root", self.root.to_str().unwrap()]);
        all
    }

    /// Everything that is there, with modes.
    fn everything(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut all = BTreeMap::new();
        walk(&self.root, &mut all);
        all
    }
}

fn walk(folder: &Path, all: &mut BTreeMap<PathBuf, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::metadata(&path).unwrap().mode();
        if path.is_dir() {
            walk(&path, all);
            all.insert(path, (mode, Vec::new()));
        } else {
            let content = fs::read(&path).unwrap();
            all.insert(path, (mode, content));
        }
    }
}
