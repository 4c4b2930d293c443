//! Much output and much input: nothing is lost, and memory stays flat.

use std::process::{Command, Stdio};

use crate::harness::{Place, ok, text};

/// Debug builds encrypt slowly; sizes are far beyond every window and buffer all the same.
const MUCH: usize = 48 << 20;

/// Bytes that do not repeat within a packet.
fn bytes(length: usize) -> Vec<u8> {
    (0..length as u64 / 8)
        .flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect()
}

#[test]
fn what_goes_through_cat_comes_back_whole_and_memory_stays_flat() {
    let place = Place::new();
    // A gigabyte where the code is fast.
    let last = if cfg!(debug_assertions) { 7_000_000 } else { 116_000_000 };
    let ssh = format!("ssh -F {} box cat", place.path("config").display());
    let pipe = |through: &str| {
        let line = format!("seq 1 {last} | {through} sha256sum");
        ok(&Command::new("timeout").args(["300", "sh", "-c", &line]).output().unwrap())
    };
    let before = peak();
    assert_eq!(pipe(&format!("{ssh} |")), pipe(""));
    // The server is part of this process.
    let grown = peak() - before;
    assert!(grown < 64 << 10, "{grown} KiB");
}

/// The most memory that this process ever had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn much_output_arrives_whole_at_a_slow_reader() {
    let place = Place::new();
    let line = format!("head -c {MUCH} /dev/zero; echo end >&2");
    let mut ssh = place.program("ssh");
    let child = ssh.args(["box", &line]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let (mut block, mut total) = (vec![0; 1 << 20], 0);
    loop {
        let read = std::io::Read::read(&mut stdout, &mut block).unwrap();
        if read == 0 {
            break;
        }
        total += read;
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(total, MUCH);
    assert_eq!(text(&child.wait_with_output().unwrap().stderr), "end\n");
}

#[test]
fn input_that_is_read_late_is_read_whole() {
    let place = Place::new();
    let sent = bytes(MUCH);
    let output = place.ssh_with(&["box", "sleep 1; sha256sum"], &sent);
    let mut expected = Command::new("sha256sum");
    assert_eq!(ok(&output), ok(&crate::harness::feed(&mut expected, &sent)));
    let left = std::fs::read_dir(place.folder.path()).unwrap().count();
    assert!(left < 10, "nothing of it lies about");
}
