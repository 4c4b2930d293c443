//! Standard input, output and error without a terminal.

use crate::support::Lab;

#[test]
fn output_and_error_stay_apart() {
    let lab = Lab::new();
    let done = lab.run(&["run", "a", "--", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("out\n", "err\n"));
}

#[test]
fn input_reaches_the_command_and_its_end_too() {
    let lab = Lab::new();
    let input: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let done = lab.with_input(&["run", "a", "--", "sha256sum"], &input);
    let mut here = std::process::Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut here.stdin.take().unwrap(), &input).unwrap();
    let wanted = here.wait_with_output().unwrap();
    assert_eq!(done.stdout.as_bytes(), wanted.stdout);
}

#[test]
fn a_hundred_megabytes_of_output_come_whole_and_in_order() {
    let lab = Lab::new();
    let script = "import sys\nfor n in range(11_200_000): sys.stdout.write('%08d\\n' % n)";
    let done = lab.run(&["run", "a", "--", "python3", "-c", script]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(done.stdout.len(), 11_200_000 * 9);
    let in_order = done.stdout.lines().enumerate().all(|(n, line)| line == format!("{n:08}"));
    assert!(in_order);
}

#[test]
fn without_a_terminal_there_is_none_inside() {
    let lab = Lab::new();
    let done = lab.run(&["run", "a", "--", "sh", "-c", "test -t 0 || test -t 1 || echo none"]);
    assert_eq!(done.stdout, "none\n");
}

#[test]
fn arguments_arrive_as_they_were_given() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let lab = Lab::new();
    let odd = OsStr::from_bytes(b"caf\xe9 '\"$HOME\n*");
    let args: Vec<&OsStr> = ["run", "a", "--", "printf", "%s|"]
        .iter()
        .map(OsStr::new)
        .chain([odd, OsStr::new("")])
        .collect();
    let output = lab.command(&args).output().unwrap();
    assert_eq!(output.stdout, b"caf\xe9 '\"$HOME\n*||", "{output:?}");
}

#[test]
fn a_command_that_is_not_there_is_127_as_in_a_shell() {
    let lab = Lab::new();
    lab.run(&["run", "a", "--", "no-such-command-at-all"]).fails(127, &["no-such-command-at-all"]);
    lab.write("plain.txt", "not a program");
    lab.run(&["run", "b", "--", "./plain.txt"]).fails(126, &["plain.txt"]);
}

#[test]
fn the_output_is_kept_for_logs() {
    let lab = Lab::new();
    lab.run(&["run", "a", "--", "sh", "-c", "echo first; exit 4"]);
    lab.ok(&["run", "a", "--", "echo", "second"]);
    let logs = lab.json(&["env", "logs", "a"]);
    assert_eq!(logs[0]["exit_code"], 4);
    assert_eq!(logs[1]["command"][0], "echo");
    let shown = lab.ok(&["env", "logs", "a"]);
    assert!(shown.contains("first") && shown.contains("second"), "{shown}");
}

#[test]
fn a_command_that_reads_nothing_still_gets_signals() {
    let lab = Lab::new();
    lab.ok(&["run", "a", "--", "true"]);
    let mut client = lab
        .command(&["run", "a", "--", "sh", "-c", "echo ready; exec sleep 1000"])
        .stdin(std::fs::File::open("/dev/zero").unwrap())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(client.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    assert_eq!(line, "ready\n");
    // SAFETY: a signal to a process that this test started.
    assert_eq!(unsafe { libc::kill(client.id().cast_signed(), libc::SIGTERM) }, 0);
    assert_eq!(client.wait().unwrap().code(), Some(143));
}
