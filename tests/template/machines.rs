//! Templates that are made in a virtual machine, whose files lie on a disk of its own.

use crate::support::{Lab, Traces, wait_until};

/// Writes, removes and replaces what the image has, in every way that a layer must tell.
const SETUP: [&str; 5] = [
    "mkdir -p /srv/app && echo new > /srv/app/new && ln /srv/app/new /srv/app/twin && ln -s new /srv/app/link",
    "rm /etc/group && rm -r /var/log && mkdir /var/log && echo mine > /var/log/mine",
    "echo secret > /home/user/key && chown -R 1000:1000 /home/user && chmod 4710 /home/user/key",
    "truncate -s 300M /srv/holes && echo end >> /srv/holes",
    "echo 10.0.0.1 db >> /etc/hosts; echo scratch > /tmp/scratch",
];
const LOOK: &str = "cat /srv/app/twin /srv/app/link; stat -c %h /srv/app/new; ls /etc/group 2>/dev/null; \
    ls /var/log; stat -c '%a %u' /home/user/key; stat -c %s /srv/holes; \
    ls /tmp; grep -c 10.0.0.1 /etc/hosts; cat /proc/sys/kernel/hostname /etc/hostname | uniq | wc -l";
const SEEN: &str = "new\nnew\n2\nmine\n4710 1000\n314572804\n0\n1\n";

#[test]
fn what_is_set_up_in_qemu_starts_sandboxes_of_other_runtimes_too() {
    let lab = Lab::with_runtime("qemu");
    let before = Traces::of(&lab.home());
    let mut build = vec!["template", "build", "t", "--image", "box", "--runtime", "qemu"];
    build.extend(SETUP.iter().flat_map(|command| ["--setup", command]));
    let built = lab.json(&build);
    assert_eq!(built["rebuilt"], true);
    before.wait_until_nothing_more(&lab.home());
    for runtime in ["oci", "qemu"] {
        let id = lab.sandbox(&["t", "--runtime", runtime]);
        assert_eq!(lab.sh(&id, LOOK), SEEN, "{runtime}");
    }
    let id = lab.sandbox(&["t", "--runtime", "oci"]);
    assert_eq!(lab.sh(&id, "du -m /srv/holes | cut -f 1"), "1\n", "holes stay holes");
    assert_eq!(lab.json(&build)["rebuilt"], false);
    // What is set up on top of it, on another runtime, has both.
    lab.json(&["template", "build", "u", "--image", "t", "--setup", "echo more >> /srv/app/new"]);
    let id = lab.sandbox(&["u"]);
    assert_eq!(lab.sh(&id, "cat /srv/app/new; ls /var/log"), "new\nmore\nmine\n");
}

#[test]
fn a_machine_holds_still_while_its_files_are_frozen_in_qemu() {
    let lab = Lab::with_runtime("qemu");
    let id = lab.sandbox(&["--runtime", "qemu", "--network", "none"]);
    // Whoever reads one file a moment after the other sees that time has passed.
    let counts = "cd /srv; n=0; while true; do n=$((n+1)); echo $n > a; echo $n > z; done";
    lab.detach(
        &id,
        &format!("mkdir -p /srv/b; seq 60000 > /srv/b/1; cp /srv/b/1 /srv/b/2; {counts}"),
    );
    wait_until("it counts", || lab.try_sh(&id, "cat /srv/z").stdout.trim().parse::<u32>().is_ok());
    lab.ok(&["template", "commit", "mine", &id]);
    assert_eq!(lab.state(&id), "running");
    let count = || lab.sh(&id, "cat /srv/z").trim().parse::<u32>().unwrap_or_default();
    let then = count();
    wait_until("it goes on counting", || count() > then);
    assert_eq!(lab.sh(&id, "ls -d /sys/fs/cgroup/atelier-still 2>/dev/null; true"), "");
    let copy = lab.sandbox(&["mine", "--runtime", "oci"]);
    let seen = lab.sh(&copy, "cat /srv/a /srv/z");
    let seen: Vec<u64> = seen.lines().map(|line| line.parse().unwrap()).collect();
    // In the middle of a line's writing, the file is empty.
    assert!(seen.len() < 2 || seen[0] - seen[1] <= 1, "{seen:?}");
}

#[test]
fn a_machine_that_does_not_run_says_how_its_files_can_be_had_in_qemu() {
    let lab = Lab::with_runtime("qemu");
    let id = lab.sandbox(&["--runtime", "qemu", "--network", "none"]);
    lab.sh(&id, "echo kept > /srv/kept");
    lab.ok(&["sandbox", "pause", &id]);
    lab.run(&["template", "commit", "mine", &id]).fails(4, &["paused", "resume"]);
    assert_eq!(lab.state(&id), "paused");
    lab.ok(&["sandbox", "stop", &id]);
    lab.run(&["template", "commit", "mine", &id]).fails(4, &["stopped", "resume"]);
    lab.ok(&["sandbox", "start", &id]);
    lab.ok(&["template", "commit", "mine", &id]);
    assert_eq!(lab.sh(&lab.sandbox(&["mine", "--runtime", "oci"]), "cat /srv/kept"), "kept\n");
}
