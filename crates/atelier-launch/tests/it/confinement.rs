//! What a sandbox cannot do, tried from inside.

use std::os::unix::fs::MetadataExt as _;

use crate::harness::{Scene, Who, everybody, is_root, report};

/// Makes one system call from a sandbox and returns its error number; 0 when it worked.
pub fn errno_of(scene: &Scene, call: libc::c_long, arguments: &str) -> i32 {
    // Strings in variables, because perl hands their memory to the kernel.
    let script = format!(
        "perl -e '($n,$d,$p,$t)=(\"none\",\"/tmp\",\"/proc\",\"tmpfs\"); $!=0; \
         syscall({call}{arguments}); print $!+0'"
    );
    scene.run(&script).output.trim().parse().unwrap()
}

#[test]
fn calls_around_the_sandbox_are_refused() {
    let refused = [
        (libc::SYS_mount, ", $n, $d, $t, 0, 0"),
        (libc::SYS_umount2, ", $p, 2"),
        (libc::SYS_unshare, ", 0x10000000"), // CLONE_NEWUSER
        (libc::SYS_unshare, ", 0x00020000"), // CLONE_NEWNS
        (libc::SYS_setns, ", 0, 0"),
        (libc::SYS_bpf, ", 0, 0, 0"),
        (libc::SYS_open_by_handle_at, ", 0, 0, 0"),
        (libc::SYS_keyctl, ", 0, 0, 0"),
        (libc::SYS_perf_event_open, ", 0, 0, 0, 0, 0"),
        (libc::SYS_fsopen, ", $t, 0"),
        (libc::SYS_clone, ", 0x10000011, 0, 0, 0, 0"), // CLONE_NEWUSER | SIGCHLD
        (libc::SYS_ioctl, ", 0, 0x5412, $n"),          // TIOCSTI
        (libc::SYS_ioctl, ", 0, 0x100005412, $n"),     // the same, with a bit that ioctl drops
        (libc::SYS_socket, ", 40, 1, 0"),              // AF_VSOCK
    ];
    for who in everybody() {
        let scene = Scene::new(who);
        for (call, arguments) in refused {
            assert_eq!(errno_of(&scene, call, arguments), libc::EPERM, "{who:?} {call}{arguments}");
        }
        for call in [libc::SYS_clone3, libc::SYS_io_uring_setup] {
            assert_eq!(errno_of(&scene, call, ", 0, 0"), libc::ENOSYS, "{who:?} {call}");
        }
        #[cfg(target_arch = "x86_64")]
        assert_eq!(errno_of(&scene, 0x4000_0000 + libc::SYS_getpid, ""), libc::ENOSYS);
        assert_eq!(errno_of(&scene, libc::SYS_getpid, ""), 0);
        assert_eq!(errno_of(&scene, libc::SYS_unshare, ", 0x400"), 0); // CLONE_FILES
    }
}

#[test]
fn without_the_filter_the_lack_of_capabilities_still_refuses() {
    for who in everybody() {
        let mut scene = Scene::new(who);
        scene.spec.seccomp = false;
        let mount = (libc::SYS_mount, ", $n, $d, $t, 0, 0");
        assert_eq!(errno_of(&scene, mount.0, mount.1), libc::EPERM, "{who:?}");
    }
}

#[test]
fn capabilities_are_gone_for_good() {
    for who in everybody() {
        let scene = Scene::new(who);
        let ran = scene.run("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status");
        let kept = if who == Who::Root { "00000000800425fb" } else { "0000000000000000" };
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            assert!(ran.output.contains(&format!("{set}:\t{kept}\n")), "{who:?}: {}", ran.output);
        }
        for none in ["CapInh", "CapAmb"] {
            assert!(ran.output.contains(&format!("{none}:\t0000000000000000\n")), "{}", ran.output);
        }
        assert!(ran.output.contains("NoNewPrivs:\t1\n"));
        assert!(ran.output.contains("Seccomp:\t2\n"));
    }
}

#[test]
fn the_kernels_switches_cannot_be_moved() {
    for who in everybody() {
        let scene = Scene::new(who);
        let ran = scene.run(
            "for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname \
             /proc/sysrq-trigger /sys/kernel/uevent_helper /sys/power/state \
             /proc/irq/default_smp_affinity; do (echo b >$f) 2>/dev/null && echo wrote $f; done; \
             cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | wc -c; \
             find /sys/fs/cgroup -name release_agent; ls -A /sys/firmware",
        );
        assert_eq!(ran.output, "0\n", "{who:?}");
    }
}

#[test]
fn no_disk_can_be_opened() {
    for who in everybody() {
        let scene = Scene::new(who);
        let device = std::fs::metadata("/srv").unwrap().dev();
        let (major, minor) = (libc::major(device), libc::minor(device));
        let ran = scene.run(&format!(
            "mknod ~/disk b {major} {minor} && echo MADE; mknod /dev/disk b {major} {minor} && \
             echo MADE; head -c 1 ~/disk && echo READ; ls /dev/vd* /dev/sd* /dev/mem"
        ));
        assert!(!ran.output.contains("MADE") && !ran.output.contains("READ"), "{}", ran.output);
    }
}

#[test]
fn a_device_node_that_lies_in_the_workspace_is_dead() {
    if !is_root() {
        return;
    }
    let scene = Scene::new(Who::Root);
    let node = scene.workspace().join("disk");
    let kind = nix::sys::stat::SFlag::S_IFCHR;
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
    nix::sys::stat::mknod(&node, kind, mode, nix::sys::stat::makedev(1, 5)).unwrap(); // zero
    let ran = scene.run("head -c 1 ~/project/disk | wc -c");
    assert!(ran.output.contains("Permission denied") && ran.output.ends_with("0\n"));
}

#[test]
fn the_old_root_is_out_of_reach() {
    for who in everybody() {
        let scene = Scene::new(who);
        let marker = scene.write(".atelier/marker", "host\n");
        let climb = "perl -e 'mkdir \"/tmp/j\"; chroot \"/tmp/j\"; chdir \"..\" for 1..64; \
                     chroot \".\"; print -e $ARGV[0] ? \"host\" : \"not\"' ";
        let ran = scene.run(&format!(
            "{climb}{0}; for r in /proc/1/root /proc/1/cwd /proc/1/exe; do \
             readlink $r && echo open; done; for f in 0 1 2 3 4 5 6 7 8 9; do cat /proc/1/fd/$f; done; \
             grep -c ' /old_root ' /proc/self/mountinfo",
            marker.display()
        ));
        assert!(ran.output.starts_with("not"), "{who:?}: {}", ran.output);
        assert!(!ran.output.contains("open"), "{who:?}: {}", ran.output);
        assert!(!ran.output.contains("host\n"), "{who:?}: {}", ran.output);
    }
}

#[test]
fn processes_of_the_host_are_out_of_sight() {
    for who in everybody() {
        let scene = Scene::new(who);
        let ran =
            scene.run("ls /proc | grep -c '^[0-9]'; kill -0 $(seq 20 4000) 2>/dev/null; echo $?");
        let lines: Vec<_> = ran.output.lines().collect();
        assert!(lines[0].parse::<u32>().unwrap() < 8, "{who:?}: {}", ran.output);
        assert_ne!(lines[1], "0", "{who:?}");
    }
}

#[test]
fn the_launchers_environment_does_not_come_along() {
    for who in everybody() {
        let scene = Scene::new(who);
        let script = "env; tr '\\0' '\\n' </proc/1/environ; true";
        let mut command = scene.command(script, false);
        command.env("SECRET_TOKEN", "hunter2");
        report(command, &scene.spec).unwrap();
        scene.wait_done();
        let log = std::fs::read_to_string(scene.spec.dir.join("log")).unwrap();
        assert!(log.contains(&format!("HOME={}\n", scene.user_home().display())), "{log}");
        assert!(!log.contains("hunter2"), "{who:?}: {log}");
    }
}
