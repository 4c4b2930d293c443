//! Bombs inside: the limit holds, this machine stays usable, and the sandbox says what hit it.

use crate::support::{Lab, helper, wait_until};

fn notes(lab: &Lab, id: &str) -> String {
    lab.show(id)["notes"].to_string()
}

#[test]
fn a_memory_bomb_ends_itself_and_the_sandbox_says_so() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--memory", "64MiB"]);
    let done = lab.try_sh(&id, "exec dd if=/dev/zero of=/dev/null bs=300M count=1");
    assert_eq!(done.code, 137, "{done:?}");
    assert!(notes(&lab, &id).contains("memory"), "{}", notes(&lab, &id));
    assert_eq!(lab.sh(&id, "echo still here"), "still here\n");
    assert_eq!(lab.state(&id), "running");
}

#[test]
fn files_in_memory_count_as_memory() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--memory", "64MiB"]);
    lab.try_sh(&id, "dd if=/dev/zero of=/dev/shm/big bs=1M count=500; dd if=/dev/zero of=/run/big bs=1M count=500");
    // Ending a process frees no file, so the kernel may go on until the sandbox's first one is gone.
    let tidied = lab.try_sh(&id, "rm -f /dev/shm/big /run/big; echo still here");
    if tidied.code != 0 {
        wait_until("its end is noticed", || lab.state(&id) == "stopped");
        wait_until("it says what hit it", || notes(&lab, &id).contains("memory limit"));
        lab.ok(&["sandbox", "start", &id]);
    }
    assert_eq!(lab.sh(&id, "echo usable"), "usable\n");
}

#[test]
fn a_fork_bomb_stays_within_its_limit() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--processes", "60"]);
    let other = lab.sandbox(&[]);
    lab.detach(&id, "bomb() { bomb | bomb & }; bomb; sleep 1000");
    wait_until("the limit is met", || notes(&lab, &id).contains("processes"));
    assert_eq!(lab.sh(&other, "echo usable"), "usable\n");
    lab.ok(&["sandbox", "stop", &id]);
    lab.ok(&["sandbox", "start", &id]);
    assert_eq!(lab.sh(&id, "echo usable"), "usable\n");
}

#[test]
fn a_bomb_of_open_files_leaves_files_for_everybody_else() {
    let lab = Lab::with_image();
    let (id, other) = (lab.sandbox(&["--processes", "200"]), lab.sandbox(&[]));
    let program = helper(&lab);
    lab.ok(&["sandbox", "cp", program.to_str().unwrap(), &format!("{id}:/bin/escape")]);
    let pid = lab.detach(&id, "for n in $(seq 20); do escape files & done; wait").to_string();
    wait_until("all have as many as they get", || {
        lab.ok(&["sandbox", "logs", &id, &pid]).matches("then: ").count() == 20
    });
    let said = lab.ok(&["sandbox", "logs", &id, &pid]);
    assert!(said.contains("Too many open files") && !said.contains("in system"), "{said}");
    assert_eq!(lab.sh(&other, "cat /etc/group | wc -l"), "2\n");
    assert_eq!(lab.sh(&id, "echo usable"), "usable\n");
}

#[test]
fn a_full_disk_is_full_inside_only() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--disk", "48MiB"]);
    let done = lab.try_sh(&id, "dd if=/dev/zero of=/srv/big bs=1M count=200");
    assert!(done.code != 0 && done.stderr.contains("No space left on device"), "{done:?}");
    assert_eq!(lab.sh(&id, "rm /srv/big; echo usable > /srv/a; cat /srv/a"), "usable\n");
    lab.ok(&["sandbox", "stop", &id]);
    lab.ok(&["sandbox", "start", &id]);
    assert_eq!(lab.sh(&id, "cat /srv/a"), "usable\n");
}
