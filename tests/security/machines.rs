//! Out of a runtime with a kernel of its own: root inside may do with it what it likes, and nothing of that
//! is seen outside.

use std::collections::BTreeMap;
use std::path::Path;

use super::sandbox;
use crate::support::Lab;

/// Settings of a kernel, with values that nobody has them at.
const SETTINGS: [(&str, &str); 4] = [
    ("kernel/panic", "4321"),
    ("kernel/core_pattern", "core-of-a-sandbox"),
    ("vm/swappiness", "43"),
    ("net/ipv4/ip_default_ttl", "43"),
];

/// Writes all of them, and gives those that have their value inside then.
fn settings_stay(runtime: &str) -> Vec<&'static str> {
    let lab = Lab::with_runtime(runtime);
    let here =
        || SETTINGS.map(|(name, _)| std::fs::read(Path::new("/proc/sys").join(name)).unwrap());
    let before = here();
    let id = sandbox(&lab, runtime);
    let set = |(name, value): (&'static str, &str)| {
        let file = format!("/proc/sys/{name}");
        let done = lab.try_sh(&id, &format!("echo {value} > {file} 2>/dev/null; cat {file}"));
        (done.stdout.trim() == value).then_some(name)
    };
    let set = SETTINGS.into_iter().filter_map(set).collect();
    assert_eq!(here(), before, "a setting of this machine was changed");
    set
}

#[test]
fn settings_of_this_kernel_stay_whatever_is_set_in_gvisor() {
    settings_stay("gvisor");
}

#[test]
fn settings_of_this_kernel_stay_whatever_is_set_in_qemu() {
    assert_eq!(settings_stay("qemu"), SETTINGS.map(|(name, _)| name), "it is its own kernel");
}

/// The files below a folder, and what they hold as a number.
fn contents(folder: &Path) -> BTreeMap<std::path::PathBuf, u64> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            found.append(&mut contents(&entry.path()));
        } else if entry.file_type().unwrap().is_file() {
            let mut hasher = DefaultHasher::new();
            std::fs::read(entry.path()).unwrap().hash(&mut hasher);
            found.insert(entry.path(), hasher.finish());
        }
    }
    found
}

#[test]
fn the_disk_of_the_image_is_not_written_to_in_qemu() {
    let lab = Lab::with_runtime("qemu");
    let id = sandbox(&lab, "qemu");
    let images = || contents(&lab.home().join("images"));
    let before = images();
    // A disk that is for reading only is the image's, which all of its machines share.
    let shared =
        lab.sh(&id, "cd /sys/block; for d in vd*; do [ $(cat $d/ro) = 1 ] && echo $d; done; true");
    let shared: Vec<&str> = shared.lines().collect();
    assert!(!shared.is_empty(), "{}", lab.sh(&id, "grep . /sys/block/*/ro"));
    for disk in shared {
        let script = format!(
            "cd /tmp; mknod d b $(tr : ' ' < /sys/block/{disk}/dev) || exit 9; \
             blockdev --setrw d; blockdev --getro d; echo 0 > /sys/block/{disk}/ro; \
             dd if=/dev/zero of=d bs=4096 count=64 conv=notrunc,fsync && echo WRITTEN; \
             dd if=d of=/dev/null bs=4096 count=1 && echo read; rm d"
        );
        let done = lab.try_sh(&id, &script);
        assert!(done.stdout.contains("read\n") && done.code == 0, "{done:?}");
        assert!(!done.stdout.contains("WRITTEN"), "{done:?}");
    }
    assert!(images() == before, "a file of the image was changed");
    let other = sandbox(&lab, "qemu");
    let look = "md5sum /bin/busybox /etc/passwd /etc/group; ls -A /etc /bin";
    assert_eq!(lab.sh(&other, look), lab.sh(&id, look));
}
