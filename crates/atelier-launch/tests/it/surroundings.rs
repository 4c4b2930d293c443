//! Launches where the machine is not a plain one: in a chroot, on a container's file system.

use std::path::Path;
use std::process::Command;

use atelier_launch::{LaunchSpec, MountSource, Network, RootSource, Started, WorkspaceMount};

use crate::harness::{Scene, Who, everybody, is_root, launcher, report, wait_until};

/// As package builders and CI have it: `/` is no mount.
#[test]
fn a_sandbox_starts_in_a_chroot_and_sees_only_the_chroot() {
    if !is_root() {
        return;
    }
    let base = tempfile::Builder::new().prefix("atelier-chroot-").tempdir_in("/srv").unwrap();
    let root = base.path().join("root");
    for dir in ["usr", "proc", "dev", "etc", "root/.atelier/sandboxes/a", "root/project", "tmp"] {
        std::fs::create_dir_all(root.join(dir)).unwrap();
    }
    for dir in ["bin", "lib", "lib64", "sbin"] {
        let host = Path::new("/").join(dir);
        match std::fs::read_link(&host) {
            Ok(to) => std::os::unix::fs::symlink(to, root.join(dir)).unwrap(),
            Err(_) if host.exists() => std::fs::create_dir(root.join(dir)).unwrap(),
            Err(_) => {}
        }
    }
    std::fs::write(root.join("only-in-the-chroot"), "").unwrap();
    std::fs::copy(launcher(), root.join("launcher")).unwrap();
    let home = Path::new("/root/.atelier");
    let spec = LaunchSpec {
        id: "a".into(),
        dir: home.join("sandboxes/a"),
        home: home.to_owned(),
        hostname: "inner".into(),
        layers_dir: home.join("sandboxes/a/root"),
        mounts: vec![WorkspaceMount {
            target: "/root/project".into(),
            source: MountSource::Bind { source: "/root/project".into(), readonly: false },
        }],
        root: RootSource::Machine,
        saving: None,
        id_base: None,
        cgroups: vec![],
        network: Network::None,
        grants: vec![],
        hide_extra: vec![],
        user_home: "/root".into(),
        uid: 0,
        gid: 0,
        seccomp: true,
    };
    let script = "hostname; ls /; echo x >/etc/new; ls /srv; test -e /dev/null && echo dev";
    let enter = format!(
        "cd {root} && mount --bind /usr usr && mount -t proc proc proc && \
         mount --rbind /dev dev && exec chroot . /launcher '{script}' /root/project",
        root = root.display()
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &enter]);
    let started = report(command, &spec).unwrap();
    let done = root.join("root/project/done");
    wait_until("the script ends", || done.exists());
    wait_until("PID 1 ends", || !started.instance.is_alive());
    let log = std::fs::read_to_string(root.join("root/.atelier/sandboxes/a/log")).unwrap();
    assert!(log.starts_with("inner\n"), "{log}");
    assert!(log.contains("only-in-the-chroot\n") && log.contains("dev\n"), "{log}");
    assert!(!log.contains("atelier-chroot-"), "{log}");
    assert!(!root.join("etc/new").exists());
}

/// Runs a script in a sandbox that is launched after `setup`, in a mount namespace of its own.
fn run_after(setup: &str, scene: &Scene, script: &str) -> Started {
    let inner = scene.command(script, false);
    let inner: Vec<_> = inner.get_args().map(|arg| arg.to_str().unwrap().to_owned()).collect();
    let all = format!(
        "set -e; {setup}; exec setpriv --reuid {0} --regid {0} --clear-groups \"$@\"",
        scene.spec.uid
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &all, "sh"]);
    command.arg(scene.launcher()).args(inner).env("HOME", scene.user_home());
    let started = report(command, &scene.spec).unwrap();
    wait_until("PID 1 ends", || !started.instance.is_alive());
    started
}

/// As in a container: an overlay cannot lie on an overlay.
#[test]
fn where_no_layer_can_lie_memory_is_used_and_said() {
    if !is_root() {
        return;
    }
    for who in everybody() {
        let scene = Scene::new(who);
        let layers = scene.base.path().join("layers");
        std::fs::create_dir_all(layers.join("upper")).unwrap();
        std::fs::create_dir_all(layers.join("work")).unwrap();
        let setup = format!(
            "mount -t overlay none {1} -o lowerdir={1},upperdir={0}/upper,workdir={0}/work; \
             chown {2}:{2} {1}",
            layers.display(),
            scene.user_home().display(),
            scene.spec.uid
        );
        let started = run_after(&setup, &scene, "echo x >/etc/new && cat /etc/new");
        assert!(started.notes[0].contains("kept in memory"), "{who:?}: {:?}", started.notes);
        let log = layers.join("upper/.atelier/sandboxes/a/log");
        assert_eq!(std::fs::read_to_string(log).unwrap(), "x\n", "{who:?}");
        assert!(!Path::new("/etc/new").exists());
    }
}

#[test]
fn another_disk_is_copy_on_write_too() {
    if !is_root() {
        return;
    }
    for who in everybody() {
        let scene = Scene::new(who);
        scene.write("disk/file", "host\n");
        let at = scene.base.path().join("mounted disk");
        std::fs::create_dir(&at).unwrap();
        // A bind mount is a mount of its own, on the same kind of file system.
        let setup = format!("mount --bind {}/disk '{}'", scene.user_home().display(), at.display());
        let script = "cat file; echo sandbox >file; cat file; echo new >new; grep -c mounted /proc/self/mountinfo";
        let script = format!("cd \"{}\"; {script}", at.display());
        let started = run_after(&setup, &scene, &script);
        let log = std::fs::read_to_string(scene.spec.dir.join("log")).unwrap();
        assert!(log.starts_with("host\nsandbox\n"), "{who:?}: {log} {:?}", started.notes);
        let disk = scene.user_home().join("disk");
        assert_eq!(std::fs::read_to_string(disk.join("file")).unwrap(), "host\n");
        assert!(!disk.join("new").exists());
    }
}

/// A user namespace cannot take a tree apart that has mounts in it.
#[test]
fn a_user_with_mounts_in_the_home_still_writes_around_them() {
    if !is_root() {
        return;
    }
    let scene = Scene::new(Who::User);
    scene.write("media/film", "film\n");
    scene.write("code/main.c", "host\n");
    let home = scene.user_home().display();
    let setup = format!("mount -t tmpfs none {home}/media; echo remote >{home}/media/film");
    let script = "cat ~/media/film; echo sandbox >~/code/main.c; cat ~/code/main.c; \
                  echo x >/var/tmp/x && cat /var/tmp/x";
    run_after(&setup, &scene, script);
    let log = std::fs::read_to_string(scene.spec.dir.join("log")).unwrap();
    assert_eq!(log, "remote\nsandbox\nx\n");
    let host = std::fs::read_to_string(scene.user_home().join("code/main.c")).unwrap();
    assert_eq!(host, "host\n");
}

/// Where the device node is open to everybody, as udev makes it.
#[test]
fn an_ordinary_user_gets_a_tun_device_and_a_helper_without_powers() {
    if !is_root() || !Path::new("/dev/net/tun").exists() {
        return;
    }
    for who in everybody() {
        let mut scene = Scene::new(who);
        scene.spec.network = Network::Tun;
        let node = scene.base.path().join("tun");
        let setup = format!(
            "mknod {0} c 10 200; chmod 666 {0}; mount --bind {0} /dev/net/tun",
            node.display()
        );
        let script = "cat /etc/resolv.conf; ls /sys/class/net; ls /dev/net";
        let started = run_after(&setup, &scene, script);
        let helper = started.instance.netstack.unwrap();
        wait_until("the helper ends", || !helper.is_alive());
        let log = std::fs::read_to_string(scene.spec.dir.join("log")).unwrap();
        assert!(
            log.contains("netstack got a device: true, capabilities 0000000000000000"),
            "{log}"
        );
        assert!(log.contains("nameserver 198.51.100.3\n") && log.contains("lo\ntun0\n"), "{log}");
        assert!(log.contains("cannot access '/dev/net'"), "{log}");
    }
}
