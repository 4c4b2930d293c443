//! The machine's own files as a private copy, and the ways out of it that are closed.

use crate::support::Lab;

fn sh(lab: &Lab, script: &str) -> String {
    lab.ok(&["run", "a", "--", "sh", "-c", script])
}

#[test]
fn an_agent_may_break_etc_and_the_host_keeps_its_own() {
    let lab = Lab::new();
    let before = std::fs::read("/etc/passwd").unwrap();
    sh(
        &lab,
        "echo broken > /etc/passwd; rm -rf /usr/share/doc /etc/apt; echo x > /opt/new-file-of-a",
    );
    assert_eq!(
        sh(&lab, "cat /etc/passwd; ls /etc/apt 2>/dev/null; cat /opt/new-file-of-a"),
        "broken\nx\n"
    );
    assert_eq!(std::fs::read("/etc/passwd").unwrap(), before);
    assert!(!std::path::Path::new("/opt/new-file-of-a").exists());
    // It persists when the sandbox is stopped, and another environment has its own.
    lab.ok(&["env", "stop", "a"]);
    assert_eq!(sh(&lab, "cat /etc/passwd"), "broken\n");
    assert_ne!(lab.ok(&["run", "b", "--", "cat", "/etc/passwd"]), "broken\n");
}

#[test]
fn processes_of_the_host_are_not_seen() {
    let lab = Lab::new();
    let seen = sh(&lab, "ls /proc | grep -c '^[0-9]'");
    assert!(seen.trim().parse::<u32>().unwrap() < 10, "{seen}");
    assert_eq!(sh(&lab, "hostname"), "a\n");
    let mine = std::process::id();
    assert!(sh(&lab, &format!("kill -0 {mine} 2>&1 || true")).contains("No such process"));
}

#[test]
fn ateliers_own_home_is_not_seen() {
    let lab = Lab::new();
    let home = lab.home();
    let home = home.display();
    let found = sh(
        &lab,
        &format!(
            "ls -A {home} 2>/dev/null | head; cat {home}/state.db {home}/keys/api 2>/dev/null; true"
        ),
    );
    assert_eq!(found, "");
}

#[test]
fn known_ways_out_are_closed() {
    let lab = Lab::new();
    for (what, script) in [
        ("mount", "mount -t tmpfs none /mnt"),
        ("a new user namespace", "unshare -Ur true"),
        ("a new mount namespace", "unshare -m true"),
        ("joining the host's namespaces", "nsenter -t 1 -n true && test -e /proc/1/ns/../../2"),
        ("core_pattern", "echo x > /proc/sys/kernel/core_pattern"),
        ("sysrq", "echo h > /proc/sysrq-trigger"),
        ("a device node", "mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk"),
        ("kernel memory", "head -c 1 /proc/kcore"),
        ("the kernel's log", "dmesg"),
        ("cgroups", "mkdir /sys/fs/cgroup/x || mkdir /sys/fs/cgroup/memory/x"),
        ("loading a module", "modprobe dummy || insmod /dev/null"),
        ("rebooting", "reboot -f"),
        ("the clock", "date -s 2001-01-01"),
        ("host sockets", "ls /run/docker.sock /var/run/docker.sock"),
    ] {
        let done =
            lab.run(&["run", "a", "--", "sh", "-c", &format!("( {script} ) >/dev/null 2>&1")]);
        assert_ne!(done.code, 0, "{what} is open: {script}");
    }
    let status = sh(&lab, "cat /proc/self/status");
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{status}");
}

#[test]
fn two_environments_do_not_see_each_others_workspace() {
    let lab = Lab::new();
    lab.ok(&["run", "b", "--", "sh", "-c", "echo secret > of-b.txt; sleep 0"]);
    let found = sh(&lab, "find / -xdev -name of-b.txt 2>/dev/null; true");
    assert_eq!(found, "");
}
