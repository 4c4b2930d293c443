//! The same life on Firecracker itself, where it is installed and KVM boots machines.

use atelier_api::system::Verdict;
use atelier_sandbox::runtimes;

use crate::home::{Home, unfit};
use crate::life::{fork, pause, remove, restore, resume, snapshot};
use crate::or_skip;

/// Why no machine boots here, if none does.
fn no_boot(home: &Home) -> Option<String> {
    let all = runtimes(&home.path("bin"), &home.path(""), None).unwrap();
    let firecracker = all.iter().find(|it| it.name() == "firecracker").unwrap();
    let failed = firecracker.probe().into_iter().find(|check| check.verdict == Verdict::Failed);
    failed.map(|check| format!("{}: {}", check.name, check.detail))
}

#[test]
fn a_real_machine_keeps_its_processes_through_pauses_snapshots_and_copies() {
    or_skip!(unfit(&["busybox", "mkfs.ext4", "firecracker", "jailer"]));
    let home = Home::new(&[]);
    or_skip!(no_boot(&home));
    let plane = home.plane();
    let id = plane.create().sandbox.id;
    let second = plane.create().sandbox.id;
    let random = "head -c 16 /dev/urandom | od -An -tx1";
    assert_ne!(plane.sh(&id, random), plane.sh(&second, random), "of one template");
    // A process that counts in memory, and says how far it is when it is asked.
    let count = "mkfifo /tmp/ask; (n=0; while read word < /tmp/ask; do n=$((n+1)); \
        echo $n > /tmp/told; done) >/dev/null 2>&1 &";
    plane.sh(&id, count);
    let ask = |id: &str| {
        plane.sh(
            id,
            "rm -f /tmp/told; echo x > /tmp/ask; \
        while ! grep -q . /tmp/told 2>/dev/null; do sleep 0.01; done; cat /tmp/told",
        )
    };
    assert_eq!(ask(&id), "1\n");
    pause(&plane, &id);
    resume(&plane, &id);
    assert_eq!(ask(&id), "2\n");
    let saved = snapshot(&plane, &id, Some(true));
    assert_eq!(ask(&id), "3\n");
    let copies = fork(&plane, &id, 2);
    for copy in &copies {
        assert_eq!(ask(copy), "4\n");
    }
    assert_ne!(plane.sh(&copies[0], random), plane.sh(&copies[1], random));
    restore(&plane, &id, &saved);
    assert_eq!(ask(&id), "3\n");
    for gone in copies.iter().chain([&id, &second]) {
        remove(&plane, gone);
    }
    home.leaves_nothing();
}
