//! Terminals.

use atelier_guest::wire::{Pty, PtySize, StartRequest};

use crate::harness::{Outcome, Running, finish, is_alive, read_while, shell, until};

fn in_terminal(command: &str) -> StartRequest {
    StartRequest { pty: Some(Pty { size: PtySize { cols: 90, rows: 30 } }), ..shell(command) }
}

#[tokio::test]
async fn a_terminal_has_its_size_and_is_the_controlling_one() {
    let running = Running::start();
    let request = in_terminal("stty size; test -t 0 && echo tty; echo hi > /dev/tty; echo $TERM");
    let outcome = finish(&mut running.guest.start(&request).await.unwrap()).await;
    let text = String::from_utf8(outcome.pty.clone()).unwrap();
    assert_eq!(text, "30 90\r\ntty\r\nhi\r\nxterm-256color\r\n");
    assert_eq!(outcome.code(), 0);
}

#[tokio::test]
async fn a_new_size_reaches_the_process() {
    let running = Running::start();
    let request =
        in_terminal("trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.02; done");
    let mut stream = running.guest.start(&request).await.unwrap();
    let mut outcome = Outcome::default();
    read_while(&mut stream, &mut outcome, |it| !it.pty.ends_with(b"ready\r\n")).await;
    running.guest.resize(stream.pid(), 50, 120).await.unwrap();
    read_while(&mut stream, &mut outcome, |_| true).await;
    assert!(String::from_utf8_lossy(&outcome.pty).contains("50 120"), "{outcome:?}");
}

#[tokio::test]
async fn what_is_typed_arrives_and_control_c_interrupts() {
    let running = Running::start();
    let mut stream =
        running.guest.start(&in_terminal("read a; echo got $a; exec sleep 1000")).await.unwrap();
    running.guest.send_input(stream.pid(), &b"word\n"[..], true).await.unwrap();
    let mut outcome = Outcome::default();
    read_while(&mut stream, &mut outcome, |it| !it.pty.ends_with(b"got word\r\n")).await;
    running.guest.send_input(stream.pid(), &b"\x03"[..], true).await.unwrap();
    let end = finish(&mut stream).await.end.unwrap();
    assert_eq!(end.shell_code(), 130, "{end:?}");
}

#[tokio::test]
async fn killing_a_terminal_ends_every_job_of_its_session() {
    let running = Running::start();
    let command = "set -m; sleep 1000 & echo job $!; wait";
    let mut stream = running.guest.start(&in_terminal(command)).await.unwrap();
    let mut outcome = Outcome::default();
    let job = |it: &Outcome| {
        let text = String::from_utf8_lossy(&it.pty).into_owned();
        text.lines().find_map(|line| line.strip_prefix("job ")?.trim().parse::<u32>().ok())
    };
    read_while(&mut stream, &mut outcome, |it| job(it).is_none()).await;
    let job = job(&outcome).unwrap();
    assert!(is_alive(job));
    running.guest.signal(stream.pid(), 9).await.unwrap();
    assert_eq!(finish(&mut stream).await.end.unwrap().signal, Some(9));
    until(|| !is_alive(job)).await;
}

#[tokio::test]
async fn the_standard_input_of_a_terminal_cannot_be_closed() {
    let running = Running::start();
    let stream = running.guest.start(&in_terminal("sleep 5")).await.unwrap();
    assert!(running.guest.close_stdin(stream.pid()).await.is_err());
    assert!(running.guest.send_input(stream.pid(), &b"x"[..], false).await.is_err());
    running.guest.signal(stream.pid(), 9).await.unwrap();
}
