//! The jailer's command, and the files in a jail.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use atelier_vm::firecracker::{Firecracker, Jail};

/// A program that says its version, as both binaries do.
fn program(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, "#!/bin/sh\necho 'Firecracker v1.17.0'\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_jail_is_described_as_the_jailer_wants_it() {
    let dir = tempfile::tempdir().unwrap();
    let firecracker = Firecracker::find(Some(&program(dir.path(), "firecracker"))).unwrap();
    assert_eq!(firecracker.version(), "Firecracker v1.17.0");
    let jailer = program(dir.path(), "jailer");
    let mut jail = Jail::new(Some(&jailer), "sandbox-1", (1234, 5678), dir.path()).unwrap();
    jail.netns = Some("/run/netns/x".into());
    jail.cgroup = Some((2, "atelier".into()));
    jail.cgroup_settings = vec!["memory.max=1000".into()];
    let words = jail.command(&firecracker);
    let line = words.iter().map(|it| it.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let base = dir.path().display();
    assert_eq!(
        line,
        format!(
            "{base}/jailer --id sandbox-1 --exec-file {base}/firecracker --uid 1234 --gid 5678 \
             --chroot-base-dir {base} --cgroup-version 2 --parent-cgroup atelier \
             --cgroup memory.max=1000 --netns /run/netns/x --resource-limit no-file=2048 \
             -- --api-sock api.sock"
        )
    );
    assert!(Jail::new(Some(&jailer), "a/../b", (1, 1), dir.path()).is_err());
}

#[test]
fn files_in_a_jail_are_links_that_its_user_reads_or_owns() {
    let dir = tempfile::tempdir().unwrap();
    let firecracker = Firecracker::find(Some(&program(dir.path(), "firecracker"))).unwrap();
    let jailer = program(dir.path(), "jailer");
    // SAFETY: no pointers, and it can't fail.
    let (uid, gid) = match unsafe { (libc::getuid(), libc::getgid()) } {
        (0, _) => (4711, 4712),
        own => own,
    };
    let jails = dir.path().join("jails");
    let jail = Jail::new(Some(&jailer), "one", (uid, gid), &jails).unwrap();
    let disk = dir.path().join("disk");
    fs::write(&disk, "disk").unwrap();
    fs::set_permissions(&disk, fs::Permissions::from_mode(0o600)).unwrap();
    let layer = dir.path().join("layer");
    fs::write(&layer, "layer").unwrap();
    fs::set_permissions(&layer, fs::Permissions::from_mode(0o600)).unwrap();
    jail.put(&firecracker, &disk, "base").unwrap();
    jail.lend(&firecracker, &layer, "layer").unwrap();
    jail.touch(&firecracker, "log").unwrap();
    let root = jails.join("firecracker/one/root");
    assert_eq!(jail.root(&firecracker), root);
    let meta = |path: &Path| fs::metadata(path).unwrap();
    assert_eq!(meta(&root.join("base")).ino(), meta(&disk).ino());
    assert_eq!(meta(&root.join("base")).mode() & 0o777, 0o644, "the jail's user reads it");
    assert_eq!(meta(&root.join("layer")).ino(), meta(&layer).ino());
    assert_eq!(meta(&layer).mode() & 0o777, 0o600, "and nobody else this one");
    assert_eq!((meta(&layer).uid(), meta(&root.join("log")).uid()), (uid, uid));
}
