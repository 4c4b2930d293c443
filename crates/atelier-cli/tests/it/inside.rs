//! Commands in a sandbox, against a real guest: streams, input, signals, exit codes, ports.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::machine::{Machine, sandbox};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn run(machine: &Machine, arguments: &[&str]) -> Output {
    machine.atelier(&[&["sandbox"], arguments].concat()).output().unwrap()
}

fn sh(machine: &Machine, script: &str) -> Output {
    run(machine, &["exec", "dev", "--", "sh", "-c", script])
}

fn read_until(from: &mut impl Read, word: &str) {
    let (mut seen, mut byte) = (Vec::new(), [0]);
    while !seen.ends_with(word.as_bytes()) {
        assert_eq!(from.read(&mut byte).unwrap(), 1, "ended before {word:?} came");
        seen.push(byte[0]);
    }
}

#[test]
fn output_streams_stay_apart_and_the_code_is_the_commands() {
    let machine = Machine::new();
    let output = sh(&machine, "echo out; echo err >&2; exit 42");
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\n", "err\n"));
    assert_eq!(output.status.code(), Some(42));
    assert_eq!(sh(&machine, "kill -9 $$").status.code(), Some(137));
}

#[test]
fn a_command_that_is_not_there_ends_as_in_a_shell() {
    let machine = Machine::new();
    let output = run(&machine, &["exec", "dev", "--", "no-such-command"]);
    assert_eq!(output.status.code(), Some(127), "{output:?}");
    assert!(text(&output.stderr).starts_with("error: "), "{output:?}");
}

#[test]
fn variables_and_the_folder_are_the_callers() {
    let machine = Machine::new();
    let arguments = ["exec", "dev", "-e", "A=1 2", "-w", "/usr", "--", "sh", "-c", "echo $A; pwd"];
    assert_eq!(text(&run(&machine, &arguments).stdout), "1 2\n/usr\n");
    let bad = run(&machine, &["exec", "dev", "-w", "/nowhere", "--", "true"]);
    assert!(text(&bad.stderr).contains("/nowhere"), "{bad:?}");
}

#[test]
fn standard_input_arrives_whole() {
    let machine = Machine::new();
    let mut command = machine.atelier(&["sandbox", "exec", "dev", "--", "cat"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // Not a multiple of anything, and more than the pipes hold.
    let data: Vec<u8> = (0..5_000_011_u32).map(|n| (n % 251) as u8).collect();
    let mut stdin = child.stdin.take().unwrap();
    let given = data.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&given).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.stdout == data, "{} bytes came back", output.stdout.len());
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_command_that_reads_nothing_still_gets_signals() {
    let machine = Machine::new();
    let script = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done";
    let mut command = machine.atelier(&["sandbox", "exec", "dev", "--", "sh", "-c", script]);
    let zeros = std::fs::File::open("/dev/zero").unwrap();
    let mut child = command.stdin(zeros).spawn().unwrap();
    read_until(child.stdout.as_mut().unwrap(), "ready\n");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

#[test]
fn much_output_arrives_whole_and_a_reader_that_has_enough_ends_it() {
    let machine = Machine::new();
    let output = sh(&machine, "seq 1 400000");
    assert_eq!(text(&output.stdout).lines().count(), 400_000);
    let mut child = machine.atelier(&["sandbox", "exec", "dev", "--", "yes"]).spawn().unwrap();
    read_until(child.stdout.as_mut().unwrap(), "y\n");
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(141), ""));
}

#[test]
fn a_time_limit_kills_and_says_so() {
    let machine = Machine::new();
    let output = run(&machine, &["exec", "dev", "--timeout", "200ms", "--", "sleep", "60"]);
    assert_eq!(output.status.code(), Some(124), "{output:?}");
    assert!(text(&output.stderr).contains("its time of 200ms is over"), "{output:?}");
}

#[test]
fn a_detached_command_is_listed_read_and_ended() {
    let machine = Machine::new();
    let script = "echo one; echo two >&2; exec sleep 60";
    let started = run(&machine, &["exec", "dev", "--detach", "--", "sh", "-c", script]);
    let pid = text(&started.stdout).trim().to_owned();
    let listed = run(&machine, &["ps", "dev"]);
    assert!(text(&listed.stdout).contains("running  -    sh -c echo one"), "{listed:?}");
    // Its first words may take a moment.
    let logs = (0..500)
        .map(|_| run(&machine, &["logs", "dev", &pid]))
        .find(|logs| text(&logs.stderr) == "two\n" && text(&logs.stdout) == "one\n");
    assert!(logs.is_some(), "what it wrote is not shown");
    let followed = machine.atelier(&["sandbox", "logs", "dev", &pid, "--follow"]).spawn().unwrap();
    assert_eq!(run(&machine, &["kill", "dev", &pid, "-s", "KILL"]).status.code(), Some(0));
    assert_eq!(text(&followed.wait_with_output().unwrap().stdout), "one\n");
    let ended = run(&machine, &["ps", "dev", "--all", "--json"]);
    let ended: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(ended[0]["end"]["signal"], 9);
    let again = run(&machine, &["kill", "dev", &pid]);
    assert_eq!(again.status.code(), Some(3), "{again:?}");
}

#[test]
fn a_sandbox_of_one_command_is_removed_afterwards() {
    let machine = Machine::new();
    let mut made = sandbox("dev");
    made["id"] = json!("dev");
    machine.answer("POST /api/v1/sandboxes", made);
    machine.answer("DELETE /api/v1/sandboxes/dev", json!({}));
    let output = run(&machine, &["run", "alpine", "--quiet", "--", "sh", "-c", "echo hi; exit 3"]);
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("hi\n", ""));
    assert_eq!(output.status.code(), Some(3));
    assert!(machine.asked("DELETE /api/v1/sandboxes/dev").is_some());
}

#[test]
fn a_sandbox_that_is_not_there_is_the_control_planes_to_say() {
    let machine = Machine::new();
    let output = run(&machine, &["exec", "gone", "--", "true"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(text(&output.stderr).contains("/sandboxes/gone/guest/health"), "{output:?}");
}

#[test]
fn a_port_of_this_machine_leads_inside() {
    let machine = Machine::new();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut word = [0; 5];
        stream.read_exact(&mut word).unwrap();
        stream.write_all(&word).unwrap();
    });
    let ports = format!("0:{port}");
    let mut child = machine.atelier(&["sandbox", "forward", "dev", &ports]).spawn().unwrap();
    let mut line = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    let address = line.split_whitespace().next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut word = [0; 5];
    stream.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"hello");
    echo.join().unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn open_ports_are_listed_with_their_urls() {
    let machine = Machine::new();
    machine.answer("GET /api/v1/sandboxes/dev", sandbox("dev"));
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let listed = run(&machine, &["port", "dev"]);
    let url = format!("http://{port}-0123.localhost:4780\n");
    assert!(text(&listed.stdout).contains(&url), "{listed:?}");
    let one = run(&machine, &["port", "dev", "8080"]);
    assert_eq!(text(&one.stdout), "http://8080-0123.localhost:4780\n");
}

#[test]
fn ssh_is_told_where_to_go() {
    let machine = Machine::new();
    machine.answer("GET /api/v1/sandboxes/dev", sandbox("dev"));
    let status = |ssh: &str| {
        json!({
            "version": "1", "pid": 1, "started_at": "2026-01-01T00:00:00Z", "home": "/h",
            "environments": {"total": 0, "running": 0}, "memory_bytes": 1, "jobs": [], "ssh": ssh,
        })
    };
    machine.answer("GET /api/v1/status", status("0.0.0.0:2222"));
    let output = run(&machine, &["ssh", "dev", "--print", "--", "make"]);
    let want = "ssh -p 2222 0123456789abcdef0123456789abcdef@127.0.0.1 make\n";
    assert_eq!(text(&output.stdout), want, "{output:?}");
}

#[test]
fn files_are_listed_read_written_and_removed() {
    let machine = Machine::new();
    let mut command = machine.atelier(&["sandbox", "fs", "write", "dev", "a/b.txt"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"text\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(text(&run(&machine, &["fs", "cat", "dev", "a/b.txt"]).stdout), "text\n");
    assert_eq!(run(&machine, &["fs", "mkdir", "dev", "a/c"]).status.code(), Some(0));
    assert_eq!(run(&machine, &["fs", "mkdir", "dev", "a/c"]).status.code(), Some(4));
    assert_eq!(run(&machine, &["fs", "mkdir", "-p", "dev", "a/c"]).status.code(), Some(0));
    assert_eq!(text(&run(&machine, &["fs", "ls", "dev", "a"]).stdout), "b.txt\nc/\n");
    assert_eq!(run(&machine, &["fs", "mv", "dev", "a/b.txt", "d.txt"]).status.code(), Some(0));
    let shown = run(&machine, &["fs", "stat", "dev", "d.txt"]);
    assert!(text(&shown.stdout).contains("kind      file\nsize      5 B\n"), "{shown:?}");
    assert_eq!(run(&machine, &["fs", "rm", "dev", "a"]).status.code(), Some(2), "a folder");
    assert_eq!(run(&machine, &["fs", "rm", "-r", "dev", "a", "d.txt"]).status.code(), Some(0));
    assert_eq!(run(&machine, &["fs", "rm", "dev", "a"]).status.code(), Some(3));
    assert_eq!(run(&machine, &["fs", "rm", "-f", "dev", "a"]).status.code(), Some(0));
}

#[test]
fn a_folder_is_watched() {
    let machine = Machine::new();
    let mut command = machine.atelier(&["sandbox", "fs", "watch", "dev", "--json"]);
    let mut child = command.spawn().unwrap();
    // It is not known when the watch begins: files are made until one is seen.
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let folder = machine.inside("");
    let making = std::thread::spawn(move || {
        for number in 0.. {
            std::fs::write(folder.join(format!("f{number}")), "").unwrap();
            if stopped.recv_timeout(std::time::Duration::from_millis(20)).is_ok() {
                return;
            }
        }
    });
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    stop.send(()).unwrap();
    making.join().unwrap();
    assert!(line.contains("EVENT_TYPE_CREATE"), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}
