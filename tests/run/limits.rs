//! Limits on memory, processes and disk.

use crate::support::Lab;

#[test]
fn a_command_that_takes_too_much_memory_ends_and_says_why() {
    let lab = Lab::new();
    let hog = "x = bytearray(400 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1";
    let done = lab.run(&["run", "a", "--memory", "100MiB", "--", "python3", "-c", hog]);
    done.fails(137, &["memory limit"]);
    assert_eq!(lab.ok(&["run", "a", "--", "echo", "still here"]), "still here\n");
}

#[test]
fn a_fork_bomb_stays_within_its_limit() {
    let lab = Lab::new();
    let bomb = "import os, sys\n\
        n = 0\n\
        try:\n\
        \x20while n < 500:\n\
        \x20 pid = os.fork()\n\
        \x20 if pid == 0:\n\
        \x20  import time; time.sleep(2); os._exit(0)\n\
        \x20 n += 1\n\
        except BlockingIOError: print('stopped at', n)";
    let done = lab.run(&["run", "a", "--processes", "60", "--", "python3", "-c", bomb]);
    assert!(done.stdout.contains("stopped at"), "{done:?}");
}

#[test]
fn a_limited_disk_fills_up_inside_only() {
    let lab = Lab::new();
    let done = lab.run(&[
        "run", "a", "--disk", "64MiB", "--", "sh", "-c",
        "dd if=/dev/zero of=big bs=1M count=200 2>&1; dd if=/dev/zero of=/var/big bs=1M count=200 2>&1",
    ]);
    assert!(done.stdout.contains("No space left on device"), "{done:?}");
    let diff = lab.json(&["env", "diff", "a", "--stat"]);
    assert_eq!(diff["files"][0]["path"], "big");
}

#[test]
fn a_limit_that_is_nonsense_is_refused() {
    let lab = Lab::new();
    lab.run(&["run", "a", "--memory", "lots", "--", "true"]).fails(2, &["lots"]);
    lab.run(&["run", "a", "--memory", "1", "--", "true"]).fails(2, &["8 MiB"]);
    lab.run(&["run", "a", "--cpus", "0", "--", "true"]).fails(2, &["\"0\"", "cores"]);
    assert!(lab.json(&["env", "ls"]).as_array().unwrap().is_empty());
}
