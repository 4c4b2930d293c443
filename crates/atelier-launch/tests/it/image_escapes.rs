//! The known ways out of a container, tried by root of an image: with a user namespace, as an
//! ordinary user, and without a user namespace.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::confinement::errno_of;
use crate::harness::{Scene, Who, everybody, is_root};
use crate::image::{layers_of, scene};
use crate::image_users::MASKED;

fn scenes() -> Vec<Scene> {
    let mut scenes: Vec<_> = everybody().into_iter().map(scene).collect();
    if is_root() {
        let mut without = scene(Who::Root);
        without.setup = Some(MASKED.into());
        scenes.push(without);
    }
    scenes
}

fn describe(scene: &Scene) -> String {
    format!("uid {}, {:?}", scene.spec.uid, scene.setup)
}

#[test]
fn calls_around_the_sandbox_are_refused() {
    let refused = [
        (libc::SYS_mount, ", $n, $d, $t, 0, 0"),
        (libc::SYS_umount2, ", $p, 2"),
        (libc::SYS_pivot_root, ", $d, $d"),
        (libc::SYS_open_tree, ", -100, $d, 1"),
        (libc::SYS_move_mount, ", -100, $d, -100, $d, 0"),
        (libc::SYS_mount_setattr, ", -100, $d, 0, 0, 0"),
        (libc::SYS_fsopen, ", $t, 0"),
        (libc::SYS_unshare, ", 0x10000000"), // CLONE_NEWUSER
        (libc::SYS_unshare, ", 0x02000000"), // CLONE_NEWCGROUP
        (libc::SYS_clone, ", 0x10000011, 0, 0, 0, 0"), // CLONE_NEWUSER | SIGCHLD
        (libc::SYS_setns, ", 0, 0"),
        (libc::SYS_open_by_handle_at, ", 0, 0, 0"),
        (libc::SYS_keyctl, ", 0, 0, 0"),
        (libc::SYS_add_key, ", 0, 0, 0, 0, 0"),
        (libc::SYS_request_key, ", 0, 0, 0, 0"),
        (libc::SYS_bpf, ", 0, 0, 0"),
        (libc::SYS_userfaultfd, ", 0"),
        (libc::SYS_perf_event_open, ", 0, 0, 0, 0, 0"),
        (libc::SYS_kexec_load, ", 0, 0, 0, 0"),
        (libc::SYS_init_module, ", 0, 0, $n"),
        (libc::SYS_reboot, ", 0, 0, 0, 0"),
        (libc::SYS_swapon, ", $n, 0"),
        (libc::SYS_acct, ", 0"),
        (libc::SYS_syslog, ", 3, 0, 0"),
        (libc::SYS_settimeofday, ", 0, 0"),
        (libc::SYS_socket, ", 40, 1, 0"),     // AF_VSOCK
        (libc::SYS_ioctl, ", 0, 0x5412, $n"), // TIOCSTI
    ];
    for scene in scenes() {
        for (call, arguments) in refused {
            let errno = errno_of(&scene, call, arguments);
            assert_eq!(errno, libc::EPERM, "{}: {call}{arguments}", describe(&scene));
        }
        for call in [libc::SYS_clone3, libc::SYS_io_uring_setup] {
            assert_eq!(errno_of(&scene, call, ", 0, 0"), libc::ENOSYS, "{}", describe(&scene));
        }
    }
}

#[test]
fn without_the_filter_the_lack_of_capabilities_still_refuses() {
    for mut scene in scenes() {
        scene.spec.seccomp = false;
        for (call, arguments) in [
            (libc::SYS_mount, ", $n, $d, $t, 0, 0"),
            (libc::SYS_umount2, ", $p, 2"),
            (libc::SYS_unshare, ", 0x00020000"), // CLONE_NEWNS
            (libc::SYS_syslog, ", 3, 0, 0"),
            (libc::SYS_open_by_handle_at, ", -100, ($h=pack(\"IiQ\",8,1,0)), 0"),
            (libc::SYS_acct, ", 0"),
        ] {
            let errno = errno_of(&scene, call, arguments);
            assert_eq!(errno, libc::EPERM, "{}: {call}", describe(&scene));
        }
    }
}

#[test]
fn the_kernels_switches_cannot_be_moved() {
    for scene in scenes() {
        let ran = scene.run(
            "for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe \
             /proc/sys/kernel/hostname /proc/sys/vm/panic_on_oom /proc/sysrq-trigger \
             /proc/sys/fs/binfmt_misc/register /proc/irq/default_smp_affinity \
             /sys/kernel/uevent_helper /sys/power/state /sys/kernel/mm/transparent_hugepage/enabled \
             /sys/module/*/parameters/*; do (echo b >$f) 2>/dev/null && echo wrote $f; done; \
             cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | head -c 1; \
             ls /sys/firmware /proc/acpi 2>/dev/null | grep -v :; ls -d /sys/kernel/debug/*; \
             cat /proc/kallsyms | grep -v '^0000000000000000' | head -1",
        );
        let printed = ran.output.lines().filter(|line| !line.contains("cannot access"));
        let printed: Vec<_> = printed.filter(|line| !line.is_empty()).collect();
        assert_eq!(printed, [""; 0], "{}", describe(&scene));
    }
}

#[test]
fn no_release_agent_of_a_control_group_can_be_set() {
    for scene in scenes() {
        let ran = scene.run(&format!(
            "grep cgroup /proc/self/mountinfo; ls -A /sys/fs/cgroup; mkdir /tmp/c; perl -e \
             '($n,$d)=(\"none\",\"/tmp/c\"); for (\"cgroup\",\"cgroup2\") {{ $t=$_; \
             $o=$t eq \"cgroup\" ? \"pids\" : \"\"; syscall({},$n,$d,$t,0,$o) or print \"mounted $t\" }}'; \
             ls -A /tmp/c",
            libc::SYS_mount
        ));
        assert_eq!(ran.output, "", "{}", describe(&scene));
    }
}

#[test]
fn no_device_can_be_made_or_opened() {
    for scene in scenes() {
        let disk = std::fs::metadata("/srv").unwrap().dev();
        let (major, minor) = (libc::major(disk), libc::minor(disk));
        let ran = scene.run(&format!(
            "mknod /root/disk b {major} {minor} && echo MADE; mknod /dev/disk b {major} {minor} && \
             echo MADE; mknod /dev/mem2 c 1 1 && echo MADE; head -c 1 /root/disk && echo READ; \
             ls /dev | grep -E 'vd|sd|nvme|mem|kmsg|fuse|kvm|loop|net'"
        ));
        let printed = ran
            .output
            .lines()
            .filter(|line| !line.contains("cannot") && !line.contains("Operation not"));
        assert_eq!(printed.count(), 0, "{}: {}", describe(&scene), ran.output);
    }
}

#[test]
fn a_device_node_in_a_layer_is_dead() {
    if !is_root() {
        return;
    }
    for scene in scenes() {
        let node = layers_of(&scene)[0].join("zero");
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
        let device = nix::sys::stat::makedev(1, 5);
        nix::sys::stat::mknod(&node, nix::sys::stat::SFlag::S_IFCHR, mode, device).unwrap();
        let ran = scene.run("head -c 1 /zero && echo READ");
        assert!(ran.output.contains("Permission denied"), "{}: {}", describe(&scene), ran.output);
        assert!(!ran.output.contains("READ"));
    }
}

#[test]
fn the_guest_cannot_be_taken_over() {
    for scene in scenes() {
        for (call, arguments) in [
            (libc::SYS_ptrace, ", 16, 1, 0, 0"),     // PTRACE_ATTACH
            (libc::SYS_ptrace, ", 0x4206, 1, 0, 0"), // PTRACE_SEIZE
            (libc::SYS_kcmp, ", 1, 1, 0, 0, 0"),
        ] {
            let errno = errno_of(&scene, call, arguments);
            assert_eq!(errno, libc::EPERM, "{}: {call}{arguments}", describe(&scene));
        }
        let ran = scene.run(
            "for r in /proc/1/root /proc/1/cwd /proc/1/exe /proc/1/ns/user /proc/1/ns/mnt; do \
             readlink $r && echo open; done; cat /proc/1/environ /proc/1/mem /proc/1/maps; for f in 0 1 2 3 4 5 6 7 8 9; do \
             cat /proc/1/fd/$f; done",
        );
        let allowed = |line: &str| line.contains("denied") || line.contains("No such file");
        let printed: Vec<_> = ran.output.lines().filter(|line| !allowed(line)).collect();
        assert_eq!(printed, [""; 0], "{}", describe(&scene));
    }
}

#[test]
fn the_old_root_and_the_hosts_processes_are_out_of_reach() {
    for scene in scenes() {
        let marker = scene.write(".atelier/marker", "host\n");
        let ran = scene.run(&format!(
            "perl -e 'mkdir \"/tmp/j\"; chroot \"/tmp/j\"; chdir \"..\" for 1..64; chroot \".\"; \
             print -e $ARGV[0] ? \"host\" : \"not\"' {}; ls /proc | grep -c '^[0-9]'; \
             for p in /proc/[0-9]*/root; do test -e $p/usr/share/doc && echo $p; done; \
             perl -e 'print kill(0, 20..4000)'",
            marker.display()
        ));
        let (place, rest) = ran.output.split_at(3);
        let lines: Vec<_> = rest.lines().collect();
        assert_eq!(place, "not", "{}", describe(&scene));
        assert!(lines[0].parse::<u32>().unwrap() < 8, "{}", ran.output);
        assert_eq!(lines[1..], ["0"], "{}: {}", describe(&scene), ran.output);
    }
}

#[test]
fn root_inside_owns_nothing_of_the_hosts() {
    if !is_root() {
        return;
    }
    let scene = scene(Who::Root);
    let script = "sleep 1000";
    let started = scene.launch(script, true).unwrap();
    // Even a process that got hold of the host's tree could do there what nobody can.
    let inside = format!("/proc/{}/ns/user", started.instance.init.pid);
    let script = "echo x >/etc/atelier-escape; cat /etc/shadow; kill -0 1; echo done";
    let output = std::process::Command::new("nsenter")
        .args([&format!("--user={inside}"), "sh", "-c", script])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("done\n"), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("root:"), "{output:?}");
    assert!(!Path::new("/etc/atelier-escape").exists());
}
