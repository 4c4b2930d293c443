//! What a sandbox sees of the machine, and what the machine sees of it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use atelier_launch::{MountSource, WorkspaceMount};

use crate::harness::{Scene, Who, everybody, is_root};

#[test]
fn a_sandbox_has_namespaces_of_its_own() {
    for who in everybody() {
        let scene = Scene::new(who);
        let ran = scene.run("readlink /proc/self/ns/*; hostname; echo pid $$");
        let mut names = vec!["cgroup", "ipc", "mnt", "net", "pid", "uts"];
        if who == Who::User {
            names.push("user");
        }
        for name in names {
            let own = std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
            assert!(ran.output.contains(&format!("{name}:[")), "{}", ran.output);
            assert!(!ran.output.contains(own.to_str().unwrap()), "{who:?} shares {name}");
        }
        assert!(ran.output.contains("box-a\n"));
        assert!(ran.output.contains("pid 2\n"), "{}", ran.output);
    }
}

#[test]
fn what_is_written_to_the_machine_stays_in_the_sandbox_and_is_there_again() {
    for who in everybody() {
        let scene = Scene::new(who);
        let kept = scene.write("kept", "as it was");
        let mark = scene.base.path().file_name().unwrap().to_str().unwrap().to_owned();
        let write = format!(
            "set -e; echo new >/etc/{mark}; echo new >/usr/{mark}; echo new >~/{mark}; \
             echo changed >~/kept; echo t >/tmp/{mark}; echo t >/var/tmp/{mark}"
        );
        let ran = scene.run(&write);
        assert_eq!(ran.code, 0, "{who:?}: {}", ran.output);
        for place in
            ["/etc", "/usr", "/tmp", "/var/tmp"].map(Path::new).iter().chain([&scene.user_home()])
        {
            assert!(!place.join(&mark).exists(), "{who:?} wrote to the host's {place:?}");
        }
        assert_eq!(std::fs::read_to_string(kept).unwrap(), "as it was");
        let again = scene.run(&format!(
            "cat /etc/{mark} /usr/{mark} ~/{mark} ~/kept /tmp/{mark} /var/tmp/{mark}"
        ));
        assert_eq!(again.output, "new\nnew\nnew\nchanged\nt\nt\n", "{who:?}");
    }
}

#[test]
fn the_workspace_is_an_overlay_with_the_projects_own_path() {
    for who in everybody() {
        let mut scene = Scene::new(who);
        let layer = |name: &str| scene.spec.home.join(name);
        for name in ["base", "patch", "upper", "work"] {
            std::fs::create_dir(layer(name)).unwrap();
        }
        std::fs::write(layer("base/a"), "base\n").unwrap();
        std::fs::write(layer("patch/a"), "patched\n").unwrap();
        let source = MountSource::Overlay {
            lowers: vec![layer("patch"), layer("base")],
            upper: layer("upper"),
            work: layer("work"),
        };
        let target = scene.user_home().join("src/app");
        scene.spec.mounts.push(WorkspaceMount { target: target.clone(), source });
        scene.give_away();
        let ran = scene.run(&format!("cd {} && cat a && echo b >b", target.display()));
        assert_eq!(ran.output, "patched\n");
        assert_eq!(std::fs::read_to_string(scene.spec.home.join("upper/b")).unwrap(), "b\n");
        assert!(!scene.spec.home.join("base/b").exists());
    }
}

#[test]
fn paths_with_every_odd_byte_work() {
    for who in everybody() {
        let mut scene = Scene::new(who);
        let odd = OsStr::from_bytes(b"a,b:c\\d e\n\xff");
        let dir = scene.spec.home.join("sandboxes").join(odd).join("x".repeat(120));
        std::fs::create_dir_all(&dir).unwrap();
        scene.spec.layers_dir = dir.join("root");
        scene.spec.dir = dir.clone();
        let layers = scene.spec.home.join(odd);
        for name in ["lower", "upper", "work"] {
            std::fs::create_dir_all(layers.join(name)).unwrap();
        }
        std::fs::write(layers.join("lower/file"), "found\n").unwrap();
        scene.spec.mounts.push(WorkspaceMount {
            target: scene.user_home().join(odd),
            source: MountSource::Overlay {
                lowers: vec![layers.join("lower")],
                upper: layers.join("upper"),
                work: layers.join("work"),
            },
        });
        scene.give_away();
        let ran = scene.run("cat ~/a,b*/file; echo here >~/written");
        assert_eq!((ran.output.as_str(), ran.code), ("found\n", 0), "{who:?}");
        assert!(dir.join("guest.sock").exists());
        assert!(!scene.user_home().join("written").exists());
    }
}

#[test]
fn terminals_shared_memory_and_temporary_files_work() {
    for who in everybody() {
        let scene = Scene::new(who);
        let ran = scene.run(
            "set -e; for n in null zero full random urandom tty ptmx; do test -e /dev/$n; done; \
             head -c 8 /dev/urandom >/dev/null; echo x >/dev/shm/x; test -w /run/user/$(id -u); \
             exec 3<>/dev/ptmx; ls -d /dev/pts/0; test ! -e /dev/net/tun; stat -c %a /tmp",
        );
        assert_eq!(ran.output, "/dev/pts/0\n1777\n", "{who:?}");
    }
}

#[test]
fn the_sandbox_knows_its_own_name() {
    for who in everybody() {
        let scene = Scene::new(who);
        let ran = scene.run("grep box-a /etc/hosts; echo '127.0.0.9 mine' >>/etc/hosts");
        assert_eq!(ran.output, "127.0.1.1 box-a\n", "{who:?}");
        assert!(!std::fs::read_to_string("/etc/hosts").unwrap().contains("mine"));
        assert!(scene.run("cat /etc/hosts").output.contains("127.0.0.9 mine"));
    }
}

#[test]
fn links_that_an_earlier_run_left_behind_lead_nowhere() {
    let scene = Scene::new(Who::User);
    let mut scene = if is_root() { Scene::new(Who::Root) } else { scene };
    let outside = scene.base.path().join("outside");
    std::fs::write(&outside, "host\n").unwrap();
    // The files that a launch mounts over become links to a file of the host, one more `..`
    // than any path is deep.
    let up = "../".repeat(20);
    let first = scene.run(&format!(
        "ln -sf {up}{0} ~/notes; rm -rf ~/late; ln -s {up}srv ~/late; echo ok",
        outside.display()
    ));
    assert_eq!(first.output, "ok\n");
    scene.spec.mounts.push(WorkspaceMount {
        target: scene.user_home().join("late/inner"),
        source: MountSource::Bind { source: scene.workspace(), readonly: true },
    });
    let before: Vec<_> =
        std::fs::read_dir("/srv").unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!before.contains(&"inner".into()));
    scene.run("echo inside >~/notes; test -d ~/late/inner");
    assert!(!Path::new("/srv/inner").exists());
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "host\n");
}
