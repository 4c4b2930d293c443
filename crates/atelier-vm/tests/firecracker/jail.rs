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
fn a_layer_disk_in_a_jail_is_a_copy_and_an_image_is_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let firecracker = Firecracker::find(Some(&program(dir.path(), "firecracker"))).unwrap();
    let jailer = program(dir.path(), "jailer");
    // SAFETY: no pointers, and it can't fail.
    let (uid, gid) = unsafe { (libc::getuid(), libc::getgid()) };
    let jails = dir.path().join("jails");
    let jail = Jail::new(Some(&jailer), "one", (uid, gid), &jails).unwrap();
    let disk = dir.path().join("disk");
    fs::write(&disk, "disk").unwrap();
    jail.put(&firecracker, &disk, "base", false).unwrap();
    jail.put(&firecracker, &disk, "layer", true).unwrap();
    let root = jails.join("firecracker/one/root");
    assert_eq!(jail.root(&firecracker), root);
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(&root.join("base")), inode(&disk));
    assert_ne!(inode(&root.join("layer")), inode(&disk));
}
