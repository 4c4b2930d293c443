//! Who is who in a sandbox with an image.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::harness::{Scene, Who, everybody, is_root, wait_until};
use crate::image::{give_layers, layers_of, scene, set_attribute, upper};

/// A mask over a part of /proc, as container engines have it, makes a launch go without a user
/// namespace.
pub const MASKED: &str = "mount --bind /dev/null /proc/timer_list";

fn ids_of(pid: i32) -> Vec<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    line.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

/// Root's files are root's on disk, whatever they are called while the sandbox runs.
fn owner(path: &Path) -> (u32, u32) {
    let meta = std::fs::symlink_metadata(path).unwrap();
    (meta.uid(), meta.gid())
}

#[test]
fn root_inside_is_nobody_outside_and_its_files_are_roots_on_disk() {
    if !is_root() {
        return;
    }
    let scene = scene(Who::Root);
    let script =
        "echo x >/root/x; touch /root/y; chown 1000:1001 /root/y; id -u; cat /proc/self/uid_map";
    let started = scene.launch(script, true).unwrap();
    assert_eq!(started.notes, [""; 0]);
    scene.wait_done();
    let ids = ids_of(started.instance.init.pid);
    assert!(ids.iter().all(|id| (0x7000_0000..0x7FFE_0000).contains(id)), "{ids:?}");
    let groups = std::fs::read_to_string(format!("/proc/{}/status", started.instance.init.pid));
    assert!(groups.unwrap().contains("\nGroups:\t \n"));
    let socket = std::fs::metadata(scene.spec.dir.join("guest.sock")).unwrap();
    assert_eq!((socket.uid(), socket.mode() & 0o777), (0, 0o600));
    let log = std::fs::read_to_string(scene.spec.dir.join("log")).unwrap();
    assert!(log.starts_with("0\n"), "{log}");
    let map: Vec<_> = log.split_whitespace().skip(1).collect();
    assert_eq!(map, ["0", &ids[0].to_string(), "65536"]);
    assert_eq!(owner(&upper(&scene).join("root/x")), (0, 0));
    assert_eq!(owner(&upper(&scene).join("root/y")), (1000, 1001));
}

#[test]
fn no_two_sandboxes_have_the_same_ids_unless_told_so() {
    if !is_root() {
        return;
    }
    let mut scenes = [(); 3].map(|()| scene(Who::Root));
    scenes[2].spec.id_base = Some(0x6000_0000);
    let ids = scenes.each_ref().map(|scene| {
        let started = scene.launch("true", true).unwrap();
        ids_of(started.instance.init.pid)[0]
    });
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[2], 0x6000_0000);
}

/// The kernel counts inotify instances for each user, and for whoever owns the user namespace.
#[test]
fn a_sandbox_that_takes_all_that_a_user_may_have_leaves_others_theirs() {
    if !is_root() {
        return;
    }
    let take = format!(
        "perl -e 'for (1..9999) {{ syscall({}) < 0 and last; $n++ }} \
                        open(F,\">/tmp/n\"); print F $n; close F; sleep 1000'",
        libc::SYS_inotify_init
    );
    let scenes = [scene(Who::Root), scene(Who::Root)];
    let counts = scenes.each_ref().map(|scene| {
        scene.launch(&take, true).unwrap();
        let written = upper(scene).join("tmp/n");
        wait_until("it has all", || std::fs::read_to_string(&written).is_ok_and(|n| !n.is_empty()));
        std::fs::read_to_string(written).unwrap().parse::<u32>().unwrap()
    });
    assert!(counts[0] > 10);
    assert_eq!(counts[0], counts[1]);
}

#[test]
fn ids_of_the_machine_are_not_lent() {
    let mut scene = scene(everybody()[0]);
    scene.spec.id_base = Some(0);
    let error = scene.launch("true", true).unwrap_err();
    assert!(error.to_string().starts_with("cannot use the ids from 0: "), "{error}");
}

#[test]
fn files_stay_whose_they_were_when_the_ids_change() {
    if !is_root() {
        return;
    }
    let mut scene = scene(Who::Root);
    for base in [0x6000_0000, 0x6001_0000] {
        scene.spec.id_base = Some(base);
        let ran = scene.run("touch /root/a; chown 7:8 /root/a; stat -c '%u %g' /root/a /root");
        assert_eq!(ran.output, "7 8\n0 0\n");
    }
}

/// What sudo needs.
#[test]
fn a_set_user_id_program_makes_root_of_an_ordinary_user() {
    for mut scene in with_many_users() {
        let program = layers_of(&scene)[0].join("usr/bin/id");
        give_layers(&scene);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o4755);
        std::fs::set_permissions(&program, mode).unwrap();
        let script = "chroot --userspec=1000:1000 / id -u; chroot --userspec=1000:1000 / id -ru; \
                      cp /usr/bin/id /root/own; chmod 4755 /root/own; chmod 755 /root; \
                      chroot --userspec=1000:1000 / /root/own -u; \
                      grep NoNewPrivs /proc/self/status";
        scene.spec.hostname = "set-user-id".into();
        let ran = scene.run(script);
        assert_eq!(ran.output, "0\n1000\n0\nNoNewPrivs:\t0\n", "{:?}", scene.setup);
    }
}

/// What ping and many others need, and what installing them does.
#[test]
fn file_capabilities_count_and_can_be_given() {
    if !is_root() {
        return;
    }
    // struct vfs_cap_data, version 2, effective: CAP_NET_RAW.
    let net_raw = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for setup in [None, Some(MASKED)] {
        let mut scene = scene(Who::Root);
        scene.setup = setup.map(str::to_owned);
        let image = layers_of(&scene)[0].clone();
        let program = image.join("usr/bin/grep");
        set_attribute(&program, "security.capability", &net_raw);
        let hex: String = net_raw.iter().map(|byte| format!("{byte:02x}")).collect();
        let ran = scene.run(&format!(
            "as() {{ chroot --userspec=1000:1000 / \"$@\"; }}; as grep CapEff /proc/self/status; \
             cp /usr/bin/cat /usr/bin/mine; as /usr/bin/mine /proc/self/status >/tmp/before; \
             perl -e '$p=\"/usr/bin/mine\"; $n=\"security.capability\"; $v=pack(\"H*\",\"{hex}\"); \
             syscall({}, $p, $n, $v, 20, 0) and print $!'; \
             as /usr/bin/mine /proc/self/status >/tmp/after; cat /tmp/before /tmp/after >/tmp/all; \
             perl -ne 'print if /CapEff/' /tmp/all",
            libc::SYS_setxattr
        ));
        let (none, some) = ("CapEff:\t0000000000000000\n", "CapEff:\t0000000000002000\n");
        assert_eq!(ran.output, format!("{some}{none}{some}"), "{setup:?}");
    }
}

#[test]
fn root_inside_keeps_what_docker_gives_root() {
    for who in everybody() {
        let scene = scene(who);
        let ran = scene.run("grep -E '^(Cap|Seccomp:)' /proc/self/status");
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            let line = format!("{set}:\t00000000a00425fb\n");
            assert!(ran.output.contains(&line), "{who:?}: {}", ran.output);
        }
        assert!(ran.output.contains("CapInh:\t0000000000000000\n"));
        assert!(ran.output.contains("Seccomp:\t2\n"));
    }
}

#[test]
fn where_there_is_no_user_namespace_root_goes_without_and_it_is_said() {
    if !is_root() {
        return;
    }
    let mut scene = scene(Who::Root);
    scene.setup = Some(MASKED.into());
    let started = scene.launch("cat /marker; echo x >/root/x", true).unwrap();
    assert_eq!(started.notes.len(), 1);
    assert!(started.notes[0].starts_with("root inside is root outside, held by Docker's default"));
    assert!(started.notes[0].ends_with(
        "cannot make a user namespace: /proc/timer_list is masked, so the kernel refuses a new /proc \
         there"
    ));
    assert_eq!(ids_of(started.instance.init.pid), [0; 4]);
    scene.wait_done();
    assert_eq!(owner(&upper(&scene).join("root/x")), (0, 0));
    // Later, where there is one, everything is found again.
    assert!(started.instance.kill().unwrap());
    wait_until("it ends", || !started.instance.is_alive());
    scene.setup = None;
    let ran = scene.run("cat /root/x; stat -c %u /root/x; cat /proc/self/uid_map");
    assert!(ran.output.starts_with("x\n0\n") && ran.output.contains(" 65536"), "{}", ran.output);
}

/// ramfs knows no mapped ids.
#[test]
fn where_files_cannot_get_other_ids_root_goes_without_and_it_is_said() {
    if !is_root() {
        return;
    }
    let mut scene = scene(Who::Root);
    let image = layers_of(&scene)[0].clone();
    scene.setup = Some(format!(
        "cp -a {0} {0}.copy; mount -t ramfs none {0}; cp -a {0}.copy/. {0}",
        image.display()
    ));
    let started = scene.launch("cat /marker; echo x >/root/x", true).unwrap();
    let expected = format!("cannot map the ids of {}: Invalid argument", image.display());
    assert!(started.notes[0].ends_with(&expected), "{:?}", started.notes);
    assert_eq!(scene.wait_done(), 0);
    assert_eq!(ids_of(started.instance.init.pid), [0; 4]);
}

#[test]
fn an_ordinary_user_without_subordinate_ids_is_told_that_only_root_exists() {
    let mut scene = scene(Who::User);
    if is_root() {
        scene.setup = Some("mount --bind /dev/null /etc/subuid".into());
    }
    let started = scene.launch("cat /proc/self/uid_map; echo x >/root/x", true).unwrap();
    scene.wait_done();
    let log = std::fs::read_to_string(scene.spec.dir.join("log")).unwrap();
    if started.notes.is_empty() {
        return; // this user has some
    }
    assert!(started.notes[0].starts_with("only root exists inside"), "{:?}", started.notes);
    let map: Vec<_> = log.split_whitespace().collect();
    assert_eq!(map, ["0", &scene.spec.uid.to_string(), "1"]);
    assert_eq!(owner(&upper(&scene).join("root/x")), (scene.spec.uid, scene.spec.gid));
}

#[test]
fn an_ordinary_user_with_subordinate_ids_has_other_users_inside() {
    if !is_root() {
        return;
    }
    for scene in with_many_users().into_iter().filter(|scene| scene.spec.uid != 0) {
        let ran = scene.run(
            "touch /root/x; chown 1000:1001 /root/x; stat -c '%u %g' /root/x; \
             chroot --userspec=1000:1001 / id -u",
        );
        assert_eq!(ran.output, "1000 1001\n1000\n");
        assert_eq!(owner(&upper(&scene).join("root/x")), (300_999, 301_000));
    }
}

/// Scenes where there is somebody but root: as root with and without a user namespace, and as an
/// ordinary user whom /etc/subuid lends ids.
fn with_many_users() -> Vec<Scene> {
    if !is_root() {
        return vec![];
    }
    let mut scenes = vec![scene(Who::Root), scene(Who::Root)];
    scenes[1].setup = Some(MASKED.into());
    if Path::new("/usr/bin/newuidmap").exists() {
        let mut scene = scene(Who::User);
        let lent = scene.base.path().join("subid");
        std::fs::write(&lent, format!("{}:300000:65536\n", scene.spec.uid)).unwrap();
        scene.setup = Some(format!(
            "mount --bind {0} /etc/subuid; mount --bind {0} /etc/subgid",
            lent.display()
        ));
        scenes.push(scene);
    } else {
        eprintln!("not tried as an ordinary user: newuidmap is missing");
    }
    scenes
}
