//! Out through the kernel: system calls, /proc, /sys, devices.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use super::{in_each_runtime, sandbox};
use crate::support::{Lab, all_refused, helper};

/// A sandbox of a runtime, with the program that tries the ways out as `/tmp/escape`.
fn armed(lab: &Lab, runtime: &str) -> String {
    let id = lab.sandbox(&["--runtime", runtime]);
    let program = helper(lab);
    lab.ok(&["sandbox", "cp", program.to_str().unwrap(), &format!("{id}:/tmp/escape")]);
    id
}

/// Ways that a shell can try. Each writes no more than what is there already, and succeeds when it
/// is let through.
const WAYS: [(&str, &str); 20] = [
    ("core_pattern", "f=/proc/sys/kernel/core_pattern; v=$(cat $f) && echo \"$v\" > $f"),
    ("modprobe", "f=/proc/sys/kernel/modprobe; v=$(cat $f) && echo \"$v\" > $f"),
    ("a setting of the kernel", "f=/proc/sys/kernel/panic; v=$(cat $f) && echo \"$v\" > $f"),
    ("a setting of memory", "f=/proc/sys/vm/swappiness; v=$(cat $f) && echo \"$v\" > $f"),
    ("binfmt_misc", "echo ':x:M::xx::/x:' > /proc/sys/fs/binfmt_misc/register"),
    ("sysrq", "echo h > /proc/sysrq-trigger"),
    ("uevent_helper", "f=/sys/kernel/uevent_helper; v=$(cat $f) && echo \"$v\" > $f"),
    ("security settings", "ls /sys/kernel/security/* && echo x > /sys/kernel/security/x"),
    (
        "release_agent",
        "for f in /sys/fs/cgroup/release_agent /sys/fs/cgroup/*/release_agent; do v=$(cat $f 2>/dev/null) && echo \"$v\" > $f && exit 0; done; exit 1",
    ),
    ("a control group of one's own", "mkdir /sys/fs/cgroup/x || mkdir /sys/fs/cgroup/memory/x"),
    (
        "a mounted control group",
        "mkdir -p /tmp/cg; mount -t cgroup -o memory none /tmp/cg || mount -t cgroup2 none /tmp/cg",
    ),
    (
        "its own limits",
        "for f in $(find /sys/fs/cgroup -name memory.max -o -name memory.limit_in_bytes -o -name pids.max 2>/dev/null); do v=$(cat $f) && echo $v > $f && exit 0; done; exit 1",
    ),
    ("memory of the kernel", "head -c 1 /proc/kcore | grep -q ."),
    ("memory of the machine", "head -c 1 /dev/mem | grep -q ."),
    ("the kernel's log", "dmesg | grep -q ."),
    ("symbols of the kernel", "grep -qv '^0* ' /proc/kallsyms"),
    ("timers of others", "head -c 1 /proc/timer_list | grep -q ."),
    ("keys of others", "grep -q . /proc/keys"),
    ("a module", "modprobe dummy || insmod /dev/null"),
    (
        "the clock",
        "! date -s \"$(date '+%Y-%m-%d %H:%M:%S')\" 2>&1 | grep -q \"can't set\\|cannot set\"",
    ),
];

fn shell_ways_are_closed(runtime: &str) {
    let lab = Lab::with_image();
    let id = armed(&lab, runtime);
    for (what, script) in WAYS {
        let done = lab.try_sh(&id, &format!("( {script} ) >/dev/null 2>&1"));
        assert_ne!(done.code, 0, "{what} is open: {script}");
    }
    let status = lab.sh(&id, "cat /proc/self/status");
    assert!(status.contains("Seccomp:\t2"), "{status}");
    let held = u64::from_str_radix(field(&status, "CapBnd"), 16).unwrap();
    let held: Vec<_> = DANGEROUS.iter().filter(|(bit, _)| held & (1 << bit) != 0).collect();
    assert!(held.is_empty(), "{held:?}");
    // Another user has none at all.
    let as_user = ["sandbox", "exec", &id, "-u", "1000", "--", "cat", "/proc/self/status"];
    assert_eq!(field(&lab.ok(&as_user), "CapEff"), "0000000000000000");
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t")).unwrap()
}

/// Capabilities that lead out of a sandbox, or that nothing in one needs.
const DANGEROUS: [(u32, &str); 14] = [
    (2, "dac_read_search"),
    (12, "net_admin"),
    (16, "sys_module"),
    (17, "sys_rawio"),
    (19, "sys_ptrace"),
    (20, "sys_pacct"),
    (21, "sys_admin"),
    (22, "sys_boot"),
    (25, "sys_time"),
    (27, "mknod"),
    (34, "syslog"),
    (37, "audit_read"),
    (38, "perfmon"),
    (39, "bpf"),
];

#[test]
fn what_a_shell_can_try_is_closed_in_oci() {
    shell_ways_are_closed("oci");
}

#[test]
fn what_a_shell_can_try_is_closed_in_host() {
    shell_ways_are_closed("host");
}

#[test]
fn system_calls_that_lead_out_are_refused_in_oci() {
    let lab = Lab::with_image();
    let id = armed(&lab, "oci");
    let said = lab.sh(&id, "/tmp/escape");
    assert!(said.ends_with("all tried\n"), "{said}");
    all_refused(&said);
    let as_user = lab.ok(&["sandbox", "exec", &id, "-u", "1000", "--", "/tmp/escape"]);
    all_refused(&as_user);
}

#[test]
fn system_calls_that_lead_out_are_refused_in_host() {
    let lab = Lab::with_image();
    let id = armed(&lab, "host");
    all_refused(&lab.sh(&id, "/tmp/escape"));
}

#[test]
fn changes_of_the_root_lead_nowhere() {
    let lab = Lab::with_image();
    let marker = lab.user_home().join("marker");
    std::fs::write(&marker, "of the host").unwrap();
    let id = armed(&lab, "oci");
    all_refused(&lab.sh(&id, &format!("/tmp/escape chroot {}", marker.display())));
}

fn nobody_walks_out_of_the_root(runtime: &str) {
    let lab = Lab::with_runtime(runtime);
    // The root of `host` is this machine's; of what lies there, the home must not be reached.
    let folder = if runtime == "host" { lab.home() } else { lab.user_home() };
    let marker = folder.join("marker");
    std::fs::write(&marker, "of the host").unwrap();
    let marker = marker.display();
    let id = sandbox(&lab, runtime);
    for root in ["/proc/1/root", "/proc/self/root", "/proc/1/cwd", "/proc/self/fd/0/..", "/.."] {
        assert_ne!(lab.try_sh(&id, &format!("cat {root}{marker}")).code, 0, "{root}");
    }
    let open = lab.sh(&id, "ls -l /proc/1/fd /proc/1/exe /proc/1/cwd 2>&1 || true");
    assert!(!open.contains(&lab.home().display().to_string()), "{open}");
    // Every process there is, is one of its own.
    let leaks =
        lab.sh(&id, "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/environ 2>/dev/null; done");
    assert!(!leaks.contains("ATELIER_HOME"), "{leaks}");
}

in_each_runtime!(nobody_walks_out_of_the_root);

#[test]
fn root_inside_is_nobody_outside() {
    let lab = Lab::with_image();
    let id = armed(&lab, "oci");
    let map = lab.sh(&id, "cat /proc/self/uid_map");
    let outside: u32 = map.split_whitespace().nth(1).unwrap().parse().unwrap();
    let notes = lab.show(&id)["notes"].to_string();
    assert!(outside >= 65_536 || notes.contains("root inside is root outside"), "{map} {notes}");
    // What it writes belongs to nobody here who could run it with more rights.
    lab.sh(&id, "cp /bin/busybox /srv/shell; chmod 6755 /srv/shell");
    let found = std::process::Command::new("find")
        .arg(lab.home().join("sandboxes"))
        .args(["-path", "*srv/shell", "-perm", "/6000", "-uid", "0"])
        .output()
        .unwrap();
    let reachable = lab.home().join("sandboxes").metadata().unwrap();
    use std::os::unix::fs::PermissionsExt;
    assert!(found.stdout.is_empty() || reachable.permissions().mode() & 0o077 == 0, "{found:?}");
}

#[test]
fn abstract_sockets_of_the_host_are_not_reached() {
    let lab = Lab::with_image();
    let name = format!("atelier-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    for runtime in ["oci", "host"] {
        let id = armed(&lab, runtime);
        all_refused(&lab.sh(&id, &format!("/tmp/escape abstract {name}")));
    }
}

#[test]
fn there_are_no_devices_but_the_harmless_ones() {
    let lab = Lab::with_image();
    let id = armed(&lab, "oci");
    let found = lab.sh(&id, "find /dev -type b -o -type c | sort");
    let harmless = ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"];
    for path in found.lines() {
        let name = path.rsplit('/').next().unwrap();
        let terminal = path.starts_with("/dev/pts/");
        assert!(terminal || harmless.contains(&name), "{path} in {found}");
    }
}
