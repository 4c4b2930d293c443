//! The guest as PID 1 of a sandbox: orphans are reaped, and its end is everything's end.

use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use atelier_guest::client::Guest;

use crate::harness::{is_alive, run, until};

/// Whether this machine lets us have a PID namespace.
fn may_unshare() -> bool {
    let tried = Command::new("unshare")
        .args(["-Ur", "--pid", "--fork", "--mount-proc", "true"])
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

#[tokio::test]
async fn orphans_are_reaped_and_all_ends_with_pid_1() {
    if !may_unshare() {
        eprintln!("skipped: this machine gives us no PID namespace");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("guest.sock");
    let mut child = Command::new("unshare")
        .args(["-Ur", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(env!("CARGO_BIN_EXE_atelier-guest"))
        .args(["serve", "--listen", &format!("unix:{}", socket.display())])
        .spawn()
        .unwrap();
    // It is there a moment before it takes connections.
    until(|| UnixStream::connect(&socket).is_ok()).await;
    let guest = Guest::new(&socket);
    // The first shell ends at once; its child becomes PID 1's.
    let left = run(&guest, "echo $PPID; (sleep 0.05 & echo $!)").await;
    assert!(left.text().starts_with("1\n"), "{left:?}");
    let gone = async {
        while run(&guest, "cat /proc/[0-9]*/stat").await.text().contains("(sleep)") {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::harness::PATIENCE, gone).await.expect("the orphan is reaped");
    let marker = format!("exec sleep {}", 100_000 + std::process::id());
    drop(guest.start(&crate::harness::shell(&marker)).await.unwrap());
    let sleeper = || pid_of(&marker["exec ".len()..]);
    until(|| sleeper().is_some()).await;
    let sleeper = sleeper().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    until(|| !is_alive(sleeper)).await;
}

/// The process of this command line, seen from outside.
fn pid_of(command: &str) -> Option<u32> {
    let wanted = format!("{}\0", command.replace(' ', "\0"));
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        (line == wanted.as_bytes()).then(|| entry.file_name().to_str()?.parse().ok())?
    })
}
