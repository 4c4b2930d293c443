//! Processes: output, input, ends, signals, refusals.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use atelier_api::Fault;
use atelier_guest::wire::{Code, ProcessConfig, Selector, StartRequest};

use crate::harness::{Outcome, PATIENCE, Running, finish, is_alive, read_while, run, shell, until};

#[tokio::test]
async fn output_and_exit_code_of_a_command_arrive() {
    let running = Running::start();
    let outcome = run(&running.guest, "echo out; echo err >&2; exit 3").await;
    assert_eq!(outcome.out, b"out\n");
    assert_eq!(outcome.err, b"err\n");
    let end = outcome.end.unwrap();
    assert_eq!((end.exit_code, end.exited, end.status.as_str()), (3, true, "exit status 3"));
    assert_eq!(end.error.as_deref(), Some("exit status 3"));
    assert_eq!(end.offset, Some(8));
}

#[tokio::test]
async fn a_command_that_a_signal_ended_says_which() {
    let running = Running::start();
    let end = run(&running.guest, "kill -9 $$").await.end.unwrap();
    assert_eq!((end.exit_code, end.exited, end.status.as_str()), (-1, false, "signal: killed"));
    assert_eq!(end.signal, Some(9));
    assert_eq!(end.shell_code(), 137);
}

#[tokio::test]
async fn a_command_that_does_not_exist_is_told_apart_from_one_that_cannot_be_executed() {
    let running = Running::start();
    std::fs::write(running.path("data"), "text").unwrap();
    let start = |cmd: String| StartRequest {
        process: ProcessConfig { cmd, ..Default::default() },
        ..Default::default()
    };
    let missing = running.guest.start(&start("no-such-command".into())).await.unwrap_err();
    assert_eq!(missing.shell_code(), Some(127));
    assert_eq!(missing.connect_code(), Some(Code::NotFound));
    assert_eq!(missing.to_string(), "command not found: no-such-command");
    assert_eq!(missing.code(), "guest.command_not_found");
    std::fs::write(running.path("script"), "#!/no/such/shell\n").unwrap();
    std::fs::set_permissions(running.path("script"), PermissionsExt::from_mode(0o755)).unwrap();
    let script = running.guest.start(&start(running.path("script"))).await.unwrap_err();
    assert_eq!(script.shell_code(), Some(126), "{script}");
    let denied = running.guest.start(&start(running.path("data"))).await.unwrap_err();
    assert_eq!(denied.shell_code(), Some(126));
    assert_eq!(denied.code(), "guest.command_not_executable");
}

#[tokio::test]
async fn a_folder_that_does_not_exist_is_an_invalid_argument() {
    let running = Running::start();
    let mut request = shell("true");
    request.process.cwd = Some("/no/such/folder".into());
    let error = running.guest.start(&request).await.unwrap_err();
    assert_eq!(error.connect_code(), Some(Code::InvalidArgument));
    assert_eq!(error.to_string(), "cwd '/no/such/folder' does not exist");
}

#[tokio::test]
async fn variables_come_from_the_guest_and_from_the_request() {
    let running = Running::start_with(&["--env", "A=guest", "--env", "B=guest"]);
    let mut request = shell("echo $A $B $PWD $HOME");
    request.process.envs.insert("B".into(), "request".into());
    let outcome = finish(&mut running.guest.start(&request).await.unwrap()).await;
    let home = running.folder.path().display();
    assert_eq!(outcome.text(), format!("guest request {home} {home}\n"));
}

#[tokio::test]
async fn a_process_without_input_reads_nothing() {
    let running = Running::start();
    assert_eq!(run(&running.guest, "cat; echo done").await.text(), "done\n");
}

#[tokio::test]
async fn input_arrives_in_order_and_ends_when_closed() {
    let running = Running::start();
    let mut request = shell("cat");
    request.stdin = Some(true);
    let mut stream = running.guest.start(&request).await.unwrap();
    let mut sent = Vec::new();
    for number in 0..200 {
        let line = format!("line {number}\n").into_bytes();
        sent.extend_from_slice(&line);
        running.guest.send_input(stream.pid(), line, false).await.unwrap();
    }
    running.guest.close_stdin(stream.pid()).await.unwrap();
    let outcome = finish(&mut stream).await;
    assert_eq!(outcome.out, sent);
    assert_eq!(outcome.code(), 0);
}

#[tokio::test]
async fn a_process_that_does_not_read_its_input_can_still_be_killed() {
    let running = Running::start();
    let mut request = shell("exec sleep 1000");
    request.stdin = Some(true);
    let mut stream = running.guest.start(&request).await.unwrap();
    let (guest, pid) = (running.guest.clone(), stream.pid());
    let sending =
        tokio::spawn(async move { guest.send_input(pid, vec![b'x'; 1 << 20], false).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    running.guest.signal(pid, 9).await.unwrap();
    assert_eq!(finish(&mut stream).await.end.unwrap().signal, Some(9));
    let sent = tokio::time::timeout(PATIENCE, sending).await.unwrap().unwrap();
    assert!(sent.is_err());
}

#[tokio::test]
async fn a_signal_reaches_the_whole_group() {
    let running = Running::start();
    let mut stream = running.guest.start(&shell("sleep 1000 & echo $!; wait")).await.unwrap();
    let mut outcome = Outcome::default();
    read_while(&mut stream, &mut outcome, |it| !it.out.contains(&b'\n')).await;
    let child: u32 = outcome.text().trim().parse().unwrap();
    assert!(is_alive(child));
    running.guest.signal(stream.pid(), 15).await.unwrap();
    assert_eq!(finish(&mut stream).await.end.unwrap().status, "signal: terminated");
    until(|| !is_alive(child)).await;
}

#[tokio::test]
async fn a_process_that_is_gone_is_not_found() {
    let running = Running::start();
    let mut stream = running.guest.start(&shell("true")).await.unwrap();
    finish(&mut stream).await;
    for error in [
        running.guest.signal(stream.pid(), 15).await.unwrap_err(),
        running.guest.signal(4_000_000, 15).await.unwrap_err(),
        running.guest.connect(4_000_000, None).await.map(drop).unwrap_err(),
        running.guest.connect(Selector::Tag("none".into()), None).await.map(drop).unwrap_err(),
    ] {
        assert_eq!(error.connect_code(), Some(Code::NotFound), "{error}");
    }
}

#[tokio::test]
async fn a_process_outlives_the_client_that_started_it() {
    let running = Running::start();
    let mut request = shell("sleep 0.3; echo late; exit 7");
    request.tag = Some("mine".into());
    let stream = running.guest.start(&request).await.unwrap();
    let pid = stream.pid();
    drop(stream);
    let listed = running.guest.list(false).await.unwrap();
    assert_eq!(listed.iter().map(|it| it.pid).collect::<Vec<_>>(), [pid]);
    let mut again = running.guest.connect(Selector::Tag("mine".into()), Some(0)).await.unwrap();
    let outcome = finish(&mut again).await;
    assert_eq!((outcome.text().as_str(), outcome.code()), ("late\n", 7));
    assert!(running.guest.list(false).await.unwrap().is_empty());
    assert_eq!(running.guest.list(true).await.unwrap()[0].end.as_ref().unwrap().exit_code, 7);
}

#[tokio::test]
async fn a_time_limit_kills_the_process_and_says_so() {
    let running = Running::start();
    let limit = Some(Duration::from_millis(200));
    let mut stream = running.guest.start_within(&shell("sleep 1000"), limit).await.unwrap();
    let pid = stream.pid();
    let error = loop {
        match tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().unwrap() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.connect_code(), Some(Code::DeadlineExceeded));
    let mut again = running.guest.connect(pid, Some(0)).await.unwrap();
    assert_eq!(finish(&mut again).await.end.unwrap().signal, Some(9));
}

#[tokio::test]
async fn a_command_ends_though_a_child_in_the_background_holds_its_output_open() {
    let running = Running::start();
    let outcome = run(&running.guest, "sleep 1000 & echo $!").await;
    let child: u32 = outcome.text().trim().parse().unwrap();
    assert_eq!(outcome.code(), 0);
    assert!(is_alive(child));
    run(&running.guest, &format!("kill {child}")).await;
    until(|| !is_alive(child)).await;
}

#[tokio::test]
async fn a_command_can_run_as_another_user() {
    let running = Running::start();
    let as_user = running.guest.clone().with_user("65534:65534");
    let outcome = finish(&mut as_user.start(&shell("id -u; id -g")).await.unwrap()).await;
    assert_eq!(outcome.text(), "65534\n65534\n");
    let unknown = running.guest.clone().with_user("nobody-of-that-name");
    let error = unknown.start(&shell("true")).await.unwrap_err();
    assert_eq!(error.connect_code(), Some(Code::Unauthenticated));
}

#[tokio::test]
async fn the_guest_ends_its_processes_when_it_is_told_to_end() {
    let mut running = Running::start();
    let polite = running.guest.start(&shell("exec sleep 1000")).await.unwrap();
    let stubborn = shell("trap '' TERM; while :; do sleep 0.05; done");
    let stubborn = running.guest.start(&stubborn).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(running.stop().success());
    for pid in [polite.pid(), stubborn.pid()] {
        until(|| !is_alive(pid)).await;
    }
}

#[tokio::test]
async fn many_processes_at_once_each_get_their_own_output() {
    let running = Running::start();
    let mut tasks = Vec::new();
    for number in 0..40 {
        let guest = running.guest.clone();
        tasks.push(tokio::spawn(async move {
            let outcome = run(&guest, &format!("echo {number}; exit {number}")).await;
            assert_eq!(
                (outcome.text().trim(), outcome.code()),
                (number.to_string().as_str(), number)
            );
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}
