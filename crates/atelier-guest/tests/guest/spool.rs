//! Output that is kept: nothing is lost while somebody reads, and what was missed can be had.

use std::time::Duration;

use crate::harness::{Outcome, Running, finish, read_while, run, shell, until};

/// Numbered lines, so that a hole in the output shows.
const COUNT: &str = "i=0; while [ $i -lt 20 ]; do i=$((i+1)); echo line $i; sleep 0.02; done";

#[tokio::test]
async fn a_client_that_comes_back_goes_on_where_it_was_without_loss() {
    let running = Running::start();
    let mut stream = running.guest.start(&shell(COUNT)).await.unwrap();
    let mut outcome = Outcome::default();
    read_while(&mut stream, &mut outcome, |it| it.out.len() < 30).await;
    let (pid, offset) = (stream.pid(), stream.offset());
    assert_eq!(offset, outcome.out.len() as u64);
    drop(stream);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut again = running.guest.connect(pid, Some(offset)).await.unwrap();
    read_while(&mut again, &mut outcome, |_| true).await;
    let expected: String = (1..=20).map(|n| format!("line {n}\n")).collect();
    assert_eq!(outcome.text(), expected);
    assert_eq!(outcome.gap, None);
}

#[tokio::test]
async fn a_client_that_asks_for_no_offset_gets_new_output_only() {
    let running = Running::start();
    let mut request = shell("echo early; read line; echo $line");
    request.stdin = Some(true);
    let mut stream = running.guest.start(&request).await.unwrap();
    let mut seen = Outcome::default();
    read_while(&mut stream, &mut seen, |it| it.out != b"early\n").await;
    let mut other = running.guest.connect(stream.pid(), None).await.unwrap();
    running.guest.send_input(stream.pid(), &b"late\n"[..], false).await.unwrap();
    assert_eq!(finish(&mut other).await.text(), "late\n");
}

#[tokio::test]
async fn output_that_nobody_reads_does_not_stop_the_process_and_the_newest_is_kept() {
    for flags in [&[][..], &["--spool", "/dev/shm"][..]] {
        let running = Running::start_with(flags);
        let command = "head -c 20000000 /dev/zero | tr '\\0' x; printf END";
        let stream = running.guest.start(&shell(command)).await.unwrap();
        let pid = stream.pid();
        drop(stream);
        let waiting = async {
            while !running.guest.list(false).await.unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(crate::harness::PATIENCE, waiting).await.unwrap();
        let outcome = finish(&mut running.guest.connect(pid, Some(0)).await.unwrap()).await;
        let (from, to) = outcome.gap.expect("the oldest is gone");
        assert_eq!(from, 0);
        assert_eq!(to + outcome.out.len() as u64, 20_000_003);
        assert!(outcome.out.len() > 900_000 && outcome.out.len() < 9_000_000);
        assert!(outcome.out.ends_with(b"xEND"));
        assert_eq!(outcome.code(), 0);
    }
}

#[tokio::test]
async fn a_slow_reader_slows_the_process_and_loses_nothing() {
    let running = Running::start();
    let marker = running.path("done");
    let command = format!("head -c 30000000 /dev/zero; touch {marker}");
    let mut stream = running.guest.start(&shell(&command)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(!std::path::Path::new(&marker).exists(), "the process did not wait for its reader");
    assert!(resident_kib(running.pid()) < 12_000, "the guest holds what is not read");
    let outcome = finish(&mut stream).await;
    assert_eq!(outcome.out.len(), 30_000_000);
    assert_eq!(outcome.gap, None);
    until(|| std::path::Path::new(&marker).exists()).await;
}

#[tokio::test]
async fn a_slow_reader_of_two_outputs_loses_nothing_of_either() {
    let running = Running::start();
    let command = "head -c 9000000 /dev/zero >&2 & head -c 9000000 /dev/zero; wait";
    let mut stream = running.guest.start(&shell(command)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let outcome = finish(&mut stream).await;
    assert_eq!((outcome.out.len(), outcome.err.len()), (9_000_000, 9_000_000));
    assert_eq!(outcome.end.unwrap().offset, Some(18_000_000));
}

#[tokio::test]
async fn two_readers_get_the_same() {
    let running = Running::start();
    let mut first = running.guest.start(&shell("sleep 0.1; seq 1 20000")).await.unwrap();
    let mut second = running.guest.connect(first.pid(), Some(0)).await.unwrap();
    let (one, other) = tokio::join!(finish(&mut first), finish(&mut second));
    assert_eq!(one.out, other.out);
    assert!(one.text().ends_with("19999\n20000\n"));
}

#[tokio::test]
async fn an_offset_that_does_not_exist_is_refused() {
    let running = Running::start();
    let stream = running.guest.start(&shell("sleep 5")).await.unwrap();
    let error = running.guest.connect(stream.pid(), Some(99)).await.map(drop).unwrap_err();
    assert_eq!(error.connect_code(), Some(atelier_guest::wire::Code::OutOfRange));
    running.guest.signal(stream.pid(), 9).await.unwrap();
}

#[tokio::test]
async fn the_last_64_processes_that_ended_are_kept() {
    let running = Running::start();
    let mut pids = Vec::new();
    for number in 0..66 {
        let mut stream = running.guest.start(&shell(&format!("exit {number}"))).await.unwrap();
        finish(&mut stream).await;
        pids.push(stream.pid());
    }
    assert!(running.guest.connect(pids[1], Some(0)).await.is_err());
    let outcome = finish(&mut running.guest.connect(pids[2], Some(0)).await.unwrap()).await;
    assert_eq!(outcome.code(), 2);
    assert_eq!(run(&running.guest, "exit 1").await.code(), 1);
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
