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

#[test]
fn a_machine_is_no_faster_than_it_may_be_in_qemu() {
    let lab = Lab::with_runtime("qemu");
    let rates = ["--disk-bandwidth", "1MiB", "--disk-iops", "500", "--network-bandwidth", "1MiB"];
    let id = lab.sandbox(&[&["--runtime", "qemu", "--memory", "256MiB"], &rates[..]].concat());
    assert_eq!(lab.show(&id)["rates"]["disk_iops"], 500);
    let write = "dd if=/dev/zero of=/srv/big bs=1M count=6 conv=fsync 2>/dev/null";
    let seconds = |done: &str| -> f64 { done.trim().parse().unwrap() };
    let since = |start: f64| seconds(&lab.sh(&id, "cut -d ' ' -f 1 /proc/uptime")) - start;
    let start = since(0.0);
    lab.sh(&id, write);
    assert!(since(start) > 4.0, "6 MiB in {} s", since(start));
    // A second's worth passes at once.
    lab.write("big", "0123456789abcdef".repeat(4 << 16));
    let start = since(0.0);
    lab.ok(&["sandbox", "cp", "big", &format!("{id}:/dev/shm/big")]);
    assert!(since(start) > 2.0, "4 MiB in {} s", since(start));
    let sample =
        lab.json(&["sandbox", "metrics", &id]).as_array().unwrap().last().cloned().unwrap();
    let devices = &sample["devices"];
    assert!(devices["disk_written"].as_u64().unwrap() >= 6 << 20, "{sample}");
    assert!(devices["disk_writes"].as_u64().unwrap() > 0, "{sample}");
    // A copy of it is held to the same.
    let forks = lab.json(&["sandbox", "fork", &id]);
    assert_eq!(forks[0]["rates"], lab.show(&id)["rates"]);
}

#[test]
fn rates_that_can_not_be_enforced_are_refused() {
    let lab = Lab::with_image();
    for rate in ["--disk-bandwidth=1MiB", "--disk-iops=100", "--network-bandwidth=1MiB"] {
        let name = rate.trim_start_matches("--").split('=').next().unwrap();
        lab.run(&["sandbox", "create", rate]).fails(8, &[name, "qemu or firecracker"]);
    }
    assert_eq!(lab.json(&["sandbox", "ls"]).as_array().unwrap().len(), 0);
}
