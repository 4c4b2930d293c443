//! Sandboxes whose root is an image's layers.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use atelier_launch::{MountSource, Network, RootSource, WorkspaceMount};

use crate::harness::{Scene, Who, everybody, is_root, mounts, wait_until};

/// What the image of the tests can run.
const PROGRAMS: [&str; 19] = [
    "sh", "perl", "cat", "chmod", "chown", "chroot", "cp", "grep", "head", "id", "ln", "ls",
    "mkdir", "mknod", "readlink", "rm", "sleep", "stat", "touch",
];

/// A scene with an image of one layer, in `image` of its base directory.
pub fn scene(who: Who) -> Scene {
    let mut scene = Scene::new(who);
    let layer = scene.base.path().join("image");
    build(&layer);
    scene.spec.root = RootSource::Image { layers: vec![layer] };
    give_layers(&scene);
    scene
}

pub fn layers_of(scene: &Scene) -> Vec<PathBuf> {
    match &scene.spec.root {
        RootSource::Image { layers } => layers.clone(),
        RootSource::Machine => vec![],
    }
}

/// Root's layers belong to root; an ordinary user's to the user, who is root inside.
pub fn give_layers(scene: &Scene) {
    let (uid, gid) = (scene.spec.uid, scene.spec.gid);
    for layer in layers_of(scene) {
        let owner = format!("{uid}:{gid}");
        let done = Command::new("chown").args(["-hR", &owner]).arg(layer).status().unwrap();
        assert!(done.success() || !nix::unistd::geteuid().is_root());
    }
}

/// The image: some programs of this machine with their libraries, and nothing else.
fn build(root: &Path) {
    for dir in ["usr/bin", "usr/lib", "usr/lib64", "etc", "root"] {
        std::fs::create_dir_all(root.join(dir)).unwrap();
    }
    for (link, to) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")] {
        symlink(to, root.join(link)).unwrap();
    }
    for name in PROGRAMS {
        let places = ["/usr/bin", "/usr/sbin", "/bin"].map(|dir| Path::new(dir).join(name));
        let program = places.iter().find_map(|path| path.canonicalize().ok()).unwrap();
        std::fs::copy(&program, root.join("usr/bin").join(name)).unwrap();
        let output = Command::new("ldd").arg(&program).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        for library in text.split_whitespace().filter(|word| word.starts_with('/')) {
            let copy = root.join(&library[1..]);
            if !copy.exists() {
                std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
                std::fs::copy(library, copy).unwrap();
            }
        }
    }
    std::fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
    std::fs::write(root.join("marker"), "image\n").unwrap();
}

/// Everything below a directory, relative to it, sorted.
pub fn tree(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(at) = left.pop() {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned());
            if path.is_dir() && !path.is_symlink() {
                left.push(path);
            }
        }
    }
    found.sort();
    found
}

pub fn upper(scene: &Scene) -> PathBuf {
    scene.spec.layers_dir.join("root/upper")
}

pub fn set_attribute(path: &Path, name: &str, value: &[u8]) {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    let name = CString::new(name).unwrap();
    // SAFETY: the pointers are to live values of the sizes given.
    let done = unsafe {
        libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    };
    assert_eq!(done, 0);
}

#[test]
fn the_root_is_the_image_and_nothing_of_the_machine() {
    for who in everybody() {
        let scene = scene(who);
        let host = scene.write("host-file", "host\n");
        let ran = scene.run(&format!(
            "cat /marker; ls /; id -u; test -e {} && echo seen; ls /sys/fs/cgroup; \
             grep -c {} /proc/self/mountinfo",
            host.display(),
            layers_of(&scene)[0].display(),
        ));
        let (root, _) = ran.output.split_once("usr\n").unwrap();
        let first = scene.base.path().components().nth(1).unwrap().as_os_str().to_str().unwrap();
        let mut names = vec![
            "bin", "dev", "etc", "lib", "lib64", "marker", "proc", "root", "run", first, "sys",
            "tmp",
        ];
        names.sort_unstable();
        assert_eq!(root, format!("image\n{}\n", names.join("\n")), "{who:?}");
        assert!(ran.output.ends_with("usr\n0\n0\n"), "{who:?}: {}", ran.output);
    }
}

#[test]
fn changes_are_kept_and_are_all_that_the_upper_layer_holds() {
    for who in everybody() {
        let scene = scene(who);
        let ran = scene.run(
            "set -e; echo new >/root/new; mkdir /opt; echo t >/tmp/t; echo r >/run/r; \
             rm /marker; echo more >>/etc/passwd; echo '127.0.0.9 mine' >>/etc/hosts",
        );
        assert_eq!(ran.code, 0, "{who:?}: {}", ran.output);
        let changes = [
            "etc",
            "etc/passwd",
            "marker",
            "opt",
            "root",
            "root/new",
            "run",
            "run/r",
            "tmp",
            "tmp/t",
        ];
        assert_eq!(tree(&upper(&scene)), changes, "{who:?}");
        let mode = std::fs::metadata(upper(&scene).join("tmp")).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o1777, "{who:?}");
        let gone = std::fs::symlink_metadata(upper(&scene).join("marker")).unwrap();
        assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
        let again =
            scene.run("cat /root/new /tmp/t /run/r; ls -d /opt /marker; grep mine /etc/hosts");
        let expected = ["new\nt\nr\n", "/opt\n", "127.0.0.9 mine\n"];
        assert!(expected.iter().all(|part| again.output.contains(part)), "{}", again.output);
        assert!(!again.output.contains("\n/marker"), "{}", again.output);
        assert!(layers_of(&scene)[0].join("marker").exists());
    }
}

#[test]
fn the_upper_layer_of_one_sandbox_is_a_layer_of_the_next() {
    for who in everybody() {
        let first = scene(who);
        first
            .run("rm /marker; mkdir -p /srv/a; echo frozen >/srv/a/file; rm -r /root; mkdir /root");
        let mut second = Scene::named(who, "b");
        let frozen = second.base.path().join("frozen");
        std::fs::rename(upper(&first), &frozen).unwrap();
        let layers = [vec![frozen.clone()], layers_of(&first)].concat();
        second.spec.root = RootSource::Image { layers };
        let ran = second.run("ls /marker; cat /srv/a/file; echo more >>/srv/a/file");
        assert!(ran.output.ends_with("frozen\n"), "{who:?}: {}", ran.output);
        assert!(!ran.output.starts_with("/marker"), "{who:?}: {}", ran.output);
        let kept = std::fs::read_to_string(frozen.join("srv/a/file")).unwrap();
        assert_eq!(kept, "frozen\n", "layers are only read");
    }
}

#[test]
fn whiteouts_and_opaque_folders_of_a_layer_hide_what_is_below() {
    for who in everybody() {
        let mut scene = scene(who);
        let base = scene.base.path().to_owned();
        let below = base.join("below");
        for dir in ["folder", "opaque"] {
            std::fs::create_dir_all(below.join(dir)).unwrap();
            std::fs::write(below.join(dir).join("old"), "old\n").unwrap();
        }
        let above = base.join("above");
        for dir in ["folder", "opaque"] {
            std::fs::create_dir_all(above.join(dir)).unwrap();
            std::fs::write(above.join(dir).join("new"), "new\n").unwrap();
        }
        let none = nix::sys::stat::Mode::empty();
        let device = nix::sys::stat::SFlag::S_IFCHR;
        nix::sys::stat::mknod(&above.join("folder/old"), device, none, 0).unwrap();
        set_attribute(&above.join("opaque"), "user.overlay.opaque", b"y");
        let layers = [vec![above, below], layers_of(&scene)].concat();
        scene.spec.root = RootSource::Image { layers };
        give_layers(&scene);
        let ran = scene.run("ls /folder /opaque");
        assert_eq!(ran.output, "/folder:\nnew\n\n/opaque:\nnew\n", "{who:?}");
    }
}

#[test]
fn a_hundred_and_fifty_layers_with_long_paths_work() {
    for who in everybody() {
        let mut scene = scene(who);
        let deep = scene.base.path().join("x".repeat(200)).join("y, z:".repeat(20));
        let mut layers = Vec::new();
        for number in 0..150 {
            let layer = deep.join(number.to_string());
            std::fs::create_dir_all(layer.join("n")).unwrap();
            std::fs::write(layer.join("top"), format!("{number}\n")).unwrap();
            std::fs::write(layer.join("n").join(number.to_string()), "").unwrap();
            layers.push(layer);
        }
        layers.extend(layers_of(&scene));
        scene.spec.root = RootSource::Image { layers };
        give_layers(&scene);
        let ran = scene.run("cat /top; set -- /n/*; echo $#; echo changed >/n/149; cat /n/149");
        assert_eq!(ran.output, "0\n150\nchanged\n", "{who:?}");
    }
}

#[test]
fn more_layers_than_an_overlay_takes_are_refused() {
    let mut scene = scene(everybody()[0]);
    let layers = vec![layers_of(&scene)[0].clone(); atelier_launch::MAX_LAYERS + 1];
    scene.spec.root = RootSource::Image { layers };
    let error = scene.launch("true", true).unwrap_err();
    assert_eq!(error.to_string(), "cannot use 500 layers: an overlay takes up to 499");
}

#[test]
fn a_missing_layer_is_named() {
    for who in everybody() {
        let mut scene = scene(who);
        let gone = scene.base.path().join("gone");
        scene.spec.root = RootSource::Image { layers: vec![gone.clone()] };
        let error = scene.launch("true", true).unwrap_err();
        assert_eq!((error.path, error.errno), (Some(gone), libc::ENOENT), "{who:?}");
        assert!(!scene.spec.dir.join("pid").exists());
    }
}

#[test]
fn an_image_without_files_of_names_gets_ours_and_its_own_stay_as_they_are() {
    for who in everybody() {
        for links in [false, true] {
            let scene = scene(who);
            let etc = layers_of(&scene)[0].join("etc");
            if links {
                symlink("../run/resolver/stub", etc.join("resolv.conf")).unwrap();
                std::fs::write(etc.join("hosts"), "10.0.0.1 theirs\n").unwrap();
            }
            let ran = scene.run("cat /etc/hostname /etc/hosts; cat /etc/resolv.conf && echo ok");
            assert!(ran.output.starts_with("box-a\n127.0.0.1 localhost\n"), "{}", ran.output);
            assert!(ran.output.ends_with("127.0.1.1 box-a\nok\n"), "{}", ran.output);
            if !links {
                assert_eq!(tree(&upper(&scene)), [""; 0], "{who:?}");
            }
        }
    }
}

#[test]
fn devices_terminals_and_shared_memory_work() {
    for who in everybody() {
        let scene = scene(who);
        let ran = scene.run(
            "set -e; for n in null zero full random urandom tty ptmx stdin; do test -e /dev/$n; done; \
             head -c 8 /dev/urandom >/dev/null; echo x >/dev/shm/x; exec 3<>/dev/ptmx; \
             ls -d /dev/pts/0; ls -d /dev/mqueue; stat -c %a /tmp; (trap '' HUP; cat /dev/tty) \
             2>/dev/null || echo no terminal",
        );
        assert_eq!(ran.output, "/dev/pts/0\n/dev/mqueue\n1777\nno terminal\n", "{who:?}");
    }
}

#[test]
fn mounts_on_top_show_and_keep_owners_as_they_are_inside() {
    for who in everybody() {
        let mut scene = scene(who);
        let place = |name: &str| scene.spec.home.join(name);
        for name in ["lower", "over/upper", "over/work", "folder"] {
            std::fs::create_dir_all(place(name)).unwrap();
        }
        std::fs::write(place("lower/a"), "base\n").unwrap();
        std::fs::write(place("single"), "file\n").unwrap();
        let overlay = MountSource::Overlay {
            lowers: vec![place("lower")],
            upper: place("over/upper"),
            work: place("over/work"),
        };
        let bind = |name: &str, readonly| MountSource::Bind { source: place(name), readonly };
        let more = [
            ("/work/project", overlay),
            ("/work/folder", bind("folder", false)),
            ("/etc/single", bind("single", true)),
        ];
        let more = more.map(|(target, source)| WorkspaceMount { target: target.into(), source });
        scene.spec.mounts.extend(more);
        scene.give_away();
        let ran = scene.run(
            "cd /work/project && cat a /etc/single && echo b >b && echo c >../folder/c; \
             stat -c '%u %g' a ../folder /etc/single; (echo x >/etc/single) 2>/dev/null || echo ro",
        );
        assert_eq!(ran.output, "base\nfile\n0 0\n0 0\n0 0\nro\n", "{who:?}");
        for written in ["over/upper/b", "folder/c"] {
            let meta = std::fs::metadata(scene.spec.home.join(written)).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (scene.spec.uid, scene.spec.gid), "{who:?}");
        }
        assert!(tree(&upper(&scene)).is_empty(), "{:?}", tree(&upper(&scene)));
    }
}

#[test]
fn ports_below_1024_are_for_everybody_inside() {
    for who in everybody() {
        let scene = scene(who);
        let ran = scene.run("cat /proc/sys/net/ipv4/ip_unprivileged_port_start");
        assert_eq!(ran.output, "0\n", "{who:?}");
    }
    let hosts = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    assert_ne!(hosts.trim(), "0", "the machine's own setting is not touched");
}

#[test]
fn an_image_has_a_network_device_and_our_name_server() {
    if !is_root() || !Path::new("/dev/net/tun").exists() {
        return;
    }
    let mut scene = scene(Who::Root);
    scene.spec.network = Network::Tun;
    let ran = scene.run("cat /etc/resolv.conf; ls /sys/class/net; ls /dev/net");
    assert!(ran.output.contains("nameserver 198.51.100.3\n"), "{}", ran.output);
    assert!(ran.output.contains("lo\ntun0\n"), "{}", ran.output);
    assert!(ran.output.contains("capabilities 0000000000000000"), "{}", ran.output);
}

#[test]
fn the_host_sees_none_of_a_sandboxs_mounts() {
    if !is_root() {
        return;
    }
    let before = mounts();
    let mut scene = scene(Who::Root);
    let seen = scene.base.path().join("seen");
    // As systemd has it: what is mounted in one namespace appears in those it was copied from. What is
    // looked for is told from mounts of other tests, and of ones that were killed, by the scene's folder.
    scene.setup = Some(format!(
        "mount --make-rshared /; (i=0; while test ! -e {0}.stop -a $i -lt 9999; do i=$((i+1)); \
         cat /proc/self/mountinfo; done | grep -c {1} >{0}) </dev/null >{0}.log 2>&1 & true",
        seen.display(),
        scene.base.path().display(),
    ));
    let started = scene.launch("true", true).unwrap();
    scene.wait_done();
    std::fs::write(seen.with_extension("stop"), "").unwrap();
    wait_until("the counting ends", || std::fs::read_to_string(&seen).is_ok_and(|t| !t.is_empty()));
    assert_eq!(std::fs::read_to_string(&seen).unwrap(), "0\n");
    assert!(started.instance.is_alive());
    assert_eq!(mounts(), before);
}

#[test]
fn an_image_that_is_killed_while_it_starts_leaves_a_sandbox_on_record_or_none() {
    for who in everybody() {
        crate::lifecycle::kill_launchers(&scene(who));
    }
}
