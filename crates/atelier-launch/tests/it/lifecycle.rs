//! Starting and ending: what is written down, what is left, what is said when it fails.

use std::io::{ErrorKind, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use atelier_launch::{Instance, MountSource, Network, WorkspaceMount, probe};

use crate::harness::{Scene, Who, everybody, is_root, mounts, wait_until};

#[test]
fn a_launch_returns_when_the_socket_accepts() {
    for who in everybody() {
        let scene = Scene::new(who);
        let started = scene.launch("true", true).unwrap();
        let socket = scene.spec.dir.join("guest.sock");
        let meta = std::fs::metadata(&socket).unwrap();
        assert!(meta.file_type().is_socket());
        assert_eq!(meta.mode() & 0o777, 0o600);
        let dir = std::fs::File::open(&scene.spec.dir).unwrap();
        UnixStream::connect(format!("/proc/self/fd/{}/guest.sock", dir.as_raw_fd())).unwrap();
        assert_eq!(Instance::load(&scene.spec.dir).unwrap().unwrap(), started.instance);
        assert!(started.instance.is_alive());
        assert_eq!(started.notes, [""; 0], "{who:?}");
    }
}

#[test]
fn killing_the_first_process_ends_everything_and_leaves_no_mount() {
    for who in everybody() {
        let before = mounts();
        let mut scene = Scene::new(who);
        // An ordinary user needs a device node that is open to everybody.
        let tun = std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun").is_ok();
        let open = std::fs::metadata("/dev/net/tun").is_ok_and(|m| m.mode() & 0o006 == 0o006);
        if tun && (who == Who::Root || open) {
            scene.spec.network = Network::Tun;
        }
        let script = "sleep 1000 & setsid sleep 1000 & (trap '' TERM; sleep 1000) & \
                      cat /etc/resolv.conf; touch ~/project/up; wait";
        let started = scene.launch(script, false).unwrap();
        wait_until("the script runs", || scene.workspace().join("up").exists());
        let inside = processes_in_the_namespace_of(started.instance.init.pid);
        assert!(inside.len() >= 5, "{who:?}: {inside:?}");
        if scene.spec.network == Network::Tun {
            let log = std::fs::read_to_string(scene.spec.dir.join("log")).unwrap();
            assert!(log.contains("nameserver 198.51.100.3"), "{log}");
            assert!(log.contains("netstack got a device: true"), "{log}");
            assert!(started.instance.netstack.unwrap().is_alive());
        }
        assert!(started.instance.init.signal(libc::SIGKILL).unwrap());
        wait_until("all processes end", || {
            inside.iter().all(|pid| !running(*pid))
                && started.instance.netstack.is_none_or(|helper| !helper.is_alive())
        });
        assert!(!started.instance.is_alive());
        assert!(!started.instance.kill().unwrap());
        assert_eq!(mounts(), before, "{who:?}");
    }
}

fn processes_in_the_namespace_of(pid: i32) -> Vec<i32> {
    let namespace = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let own = namespace(pid);
    assert!(own.is_some());
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| namespace(*pid) == own).collect()
}

fn running(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn two_sandboxes_listen_on_one_port() {
    for who in everybody() {
        let serve = "perl -MSocket -e 'socket(S,PF_INET,SOCK_STREAM,0); \
                     bind(S,pack_sockaddr_in(8000,INADDR_LOOPBACK)) or die; listen(S,1) or die; \
                     socket(C,PF_INET,SOCK_STREAM,0); \
                     connect(C,pack_sockaddr_in(8000,INADDR_LOOPBACK)) or die; \
                     open(F,\">\",\"$ENV{HOME}/project/up\"); sleep 1000'";
        let scenes = [Scene::named(who, "a"), Scene::named(who, "b")];
        for scene in &scenes {
            scene.launch(serve, true).unwrap();
        }
        for scene in &scenes {
            wait_until("it listens", || scene.workspace().join("up").exists());
        }
    }
}

#[test]
fn the_sandbox_is_in_the_cgroups_that_it_was_given() {
    if !is_root() {
        return;
    }
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids"];
    let usable = |root: &&str| Path::new(root).join("cgroup.procs").exists();
    let name = format!("atelier-launch-test-{}", std::process::id());
    for root in roots.iter().filter(|root| usable(root)) {
        let cgroup = PathBuf::from(root).join(&name);
        if std::fs::create_dir(&cgroup).is_err() {
            continue; // a read-only hierarchy
        }
        for mut scene in [Scene::new(Who::Root), crate::image::scene(Who::Root)] {
            scene.spec.cgroups = vec![cgroup.clone()];
            let started = scene.launch("cat /proc/self/cgroup", true).unwrap();
            let procs = std::fs::read_to_string(cgroup.join("cgroup.procs")).unwrap();
            let pid = started.instance.init.pid.to_string();
            assert!(procs.lines().any(|line| line == pid), "{root}: {procs}");
            scene.wait_done();
            let log = std::fs::read_to_string(scene.spec.dir.join("log")).unwrap();
            assert!(!log.contains(&name), "the namespace shows where it hangs: {log}");
        }
        wait_until("the cgroup is empty", || std::fs::remove_dir(&cgroup).is_ok());
    }
}

#[test]
fn a_failed_launch_says_where_and_leaves_nothing() {
    for who in everybody() {
        let mut scene = Scene::new(who);
        let missing = scene.spec.home.join("gone");
        scene.spec.mounts.push(WorkspaceMount {
            target: scene.user_home().join("more"),
            source: MountSource::Bind { source: missing.clone(), readonly: false },
        });
        let error = scene.launch("true", true).unwrap_err();
        assert_eq!(error.path, Some(missing.clone()));
        assert_eq!(error.errno, libc::ENOENT);
        let text = format!("cannot bind {}: No such file or directory", missing.display());
        assert_eq!(error.to_string(), text);
        for name in ["pid", "guest.sock"] {
            let left = std::fs::metadata(scene.spec.dir.join(name)).unwrap_err();
            assert_eq!(left.kind(), ErrorKind::NotFound, "{name}");
        }
    }
}

#[test]
fn an_unknown_grant_a_relative_path_and_a_broken_spec_are_refused() {
    let mut scene = Scene::new(everybody()[0]);
    scene.spec.grants = vec!["everything".into()];
    let error = scene.launch("true", true).unwrap_err();
    assert_eq!(error.why, "there is no grant `everything`");
    assert!(error.hints[0].starts_with("Known grants: age, aws,"));
    scene.spec.grants.clear();
    scene.spec.mounts[0].target = "project".into();
    let error = scene.launch("true", true).unwrap_err();
    assert_eq!(error.why, "it must be absolute, without `..`, and not `/`");
}

#[test]
fn an_ordinary_user_launches_for_nobody_else() {
    let mut scene = Scene::new(Who::User);
    scene.spec.uid += 1;
    let error = scene.launch("true", true).unwrap_err();
    assert!(error.why.starts_with("only root can"), "{error}");
}

#[test]
fn a_second_launch_on_the_same_layers_is_refused_and_harms_nothing() {
    for who in everybody() {
        let scene = Scene::new(who);
        let first = scene.launch("true", true).unwrap();
        let error = scene.launch("true", true).unwrap_err();
        assert_eq!(error.why, "a running sandbox uses them", "{who:?}");
        assert!(first.instance.is_alive());
        assert_eq!(Instance::load(&scene.spec.dir).unwrap().unwrap(), first.instance);
        first.instance.kill().unwrap();
        wait_until("it ends", || !first.instance.is_alive());
        assert!(scene.launch("true", true).unwrap().instance.is_alive());
    }
}

#[test]
fn a_launcher_that_is_killed_leaves_a_sandbox_on_record_or_none() {
    kill_launchers(&Scene::new(everybody()[0]));
}

/// Kills launchers at every moment of a launch.
pub fn kill_launchers(scene: &Scene) {
    let spec = serde_json::to_vec(&scene.spec).unwrap();
    let launcher = scene.launcher();
    for micros in (0..6000).step_by(150) {
        let mut child = scene.command("true", true).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&spec).unwrap();
        std::thread::sleep(Duration::from_micros(micros));
        child.kill().unwrap();
        child.wait().unwrap();
        // One that is not on record sees that it is alone and ends.
        if let Some(instance) = Instance::load(&scene.spec.dir).unwrap() {
            instance.kill().unwrap();
            std::fs::remove_file(scene.spec.dir.join("pid")).unwrap();
        }
        wait_until("nothing is left", || users_of(&launcher).is_empty());
    }
}

/// The processes that run this program.
fn users_of(program: &Path) -> Vec<i32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let runs = |pid: &i32| {
        running(*pid)
            && std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program)
    };
    pids.filter(runs).collect()
}

#[test]
fn a_process_that_got_our_id_later_is_left_alone() {
    let scene = Scene::new(everybody()[0]);
    let mut instance = scene.launch("true", true).unwrap().instance;
    instance.init.start += 1;
    assert!(!instance.is_alive());
    assert!(!instance.kill().unwrap());
    instance.init.start -= 1;
    assert!(instance.is_alive());
    instance.boot = "another".into();
    assert!(!instance.is_alive());
    assert!(!instance.kill().unwrap());
}

#[test]
fn the_probe_finds_this_machine_fit_and_leaves_nothing() {
    let scene = Scene::new(everybody()[0]);
    let checks = probe(&scene.spec.home);
    for name in ["kernel", "namespaces", "overlay", "procfs", "seccomp"] {
        let check = checks.iter().find(|check| check.name == name).unwrap();
        assert!(check.ok, "{check:?}");
    }
    let ids = atelier_launch::probe_ids(&scene.spec.home);
    assert!(ids.ok || !nix::unistd::geteuid().is_root(), "{ids:?}");
    let left = std::fs::read_dir(&scene.spec.home).unwrap().flatten();
    assert!(left.map(|e| e.file_name()).all(|name| !name.to_string_lossy().contains("probe")));
}
