//! `atelier sandbox exec`, `ps`, `logs`, `kill`, `shell`: commands in a sandbox.

use crate::support::{Lab, in_terminal, wait_until};

#[test]
fn the_exit_code_is_the_commands_own() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill $$", 143)] {
        assert_eq!(lab.try_sh(&id, script).code, code, "{script}");
    }
    let done = lab.run(&["sandbox", "exec", &id, "--", "no-such-command"]);
    done.fails(127, &["no-such-command"]);
}

#[test]
fn both_outputs_and_standard_input_pass_through() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    let done = lab.try_sh(&id, "echo out; echo err >&2");
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("out\n", "err\n"));
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let counted = lab.with_input(&["sandbox", "exec", &id, "--", "wc", "-c"], &bytes);
    assert_eq!(counted.stdout.trim(), "3000000", "{}", counted.stderr);
    let own = lab.with_input(&["sandbox", "exec", &id, "--", "md5sum"], b"atelier");
    let here =
        lab.with_input(&["sandbox", "exec", &id, "--no-stdin", "--", "wc", "-c"], b"atelier");
    assert!(own.stdout.starts_with("bc3596198e49c49e"), "{own:?}");
    assert_eq!(here.stdout.trim(), "0", "{here:?}");
}

#[test]
fn much_output_comes_whole() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    let output = lab.command(&["sandbox", "exec", &id, "--", "sh", "-c", "seq 1 1000000"]).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let mut lines = text.lines();
    assert!((1..=1_000_000).all(|n| lines.next() == Some(n.to_string().as_str())));
    assert_eq!(lines.next(), None);
}

#[test]
fn variables_folder_and_user_of_one_command() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    let script = "echo $NAME $(pwd) $(id -u):$(id -g)";
    let run = |options: &[&str]| {
        let args = [&["sandbox", "exec", &id], options, &["--", "sh", "-c", script]].concat();
        lab.run(&args)
    };
    let done = run(&["-e", "NAME=a b", "-w", "/tmp", "-u", "user"]);
    assert_eq!(done.stdout, "a b /tmp 1000:1000\n", "{done:?}");
    assert_eq!(run(&["-u", "1000:7"]).stdout.trim().rsplit(' ').next(), Some("1000:7"));
    run(&["-u", "nobody-here"]).fails(10, &["nobody-here"]);
    let absent = run(&["-w", "/no/such/folder"]);
    assert!(absent.code != 0 && absent.stderr.contains("/no/such/folder"), "{absent:?}");
}

#[test]
fn a_command_that_takes_too_long_is_killed_with_its_children() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    let args =
        ["sandbox", "exec", &id, "--timeout", "1s", "--", "sh", "-c", "sleep 1000 & sleep 1000"];
    assert_eq!(lab.run(&args).code, 124);
    wait_until("its children are gone", || {
        lab.sh(&id, "ps | grep -c '[s]leep 1000' || true") == "0\n"
    });
}

#[test]
fn a_detached_command_goes_on_and_its_output_is_kept() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    let pid = lab
        .detach(
            &id,
            "echo begun; while ! test -e /tmp/go; do sleep 0.05; done; echo ended; echo bad >&2",
        )
        .to_string();
    let running = lab.json(&["sandbox", "ps", &id]);
    assert_eq!(running[0]["pid"].to_string(), pid, "{running}");
    let early = lab.run(&["sandbox", "logs", &id, &pid]);
    assert!(!early.stdout.contains("ended"), "{early:?}");
    let follow = lab.spawn(&["sandbox", "logs", &id, &pid, "--follow"]);
    lab.sh(&id, "touch /tmp/go");
    let output = follow.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "begun\nended\n");
    assert!(String::from_utf8_lossy(&output.stderr).ends_with("bad\n"), "{output:?}");
    wait_until("it ended", || lab.json(&["sandbox", "ps", &id]).as_array().unwrap().is_empty());
    assert!(lab.ok(&["sandbox", "logs", &id]).contains("ended\n"));
}

#[test]
fn a_signal_reaches_a_command_by_its_number() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    let script = "trap 'echo caught; exit 0' USR1; echo ready; while :; do sleep 0.05; done";
    let pid = lab.detach(&id, script).to_string();
    wait_until("it is ready", || lab.ok(&["sandbox", "logs", &id, &pid]).contains("ready"));
    lab.ok(&["sandbox", "kill", &id, &pid, "-s", "USR1"]);
    wait_until("it ended", || lab.json(&["sandbox", "ps", &id]).as_array().unwrap().is_empty());
    assert!(lab.ok(&["sandbox", "logs", &id, &pid]).ends_with("caught\n"));
    let gone = lab.run(&["sandbox", "kill", &id, "99999"]);
    gone.fails(3, &["99999"]);
}

#[test]
fn a_client_that_is_killed_hangs_up_nothing_that_is_detached() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    lab.detach(&id, "exec sleep 1000");
    let mut client = lab.spawn(&["sandbox", "exec", &id, "--", "sleep", "2000"]);
    let running = || lab.json(&["sandbox", "ps", &id]).as_array().unwrap().len();
    wait_until("both run", || running() == 2);
    client.kill().unwrap();
    client.wait().unwrap();
    assert!(lab.sh(&id, "ps").contains("sleep 1000"));
}

#[test]
fn with_a_terminal_it_is_as_with_ssh() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    let script = "stty size; read line; stty size; echo $TERM; exit 5";
    let done = in_terminal(
        &lab,
        &["sandbox", "exec", &id, "--", "sh", "-c", script],
        "expect('31 97')\nresize(40, 120)\ntime.sleep(0.5)\ntype('\\n')\nexpect('40 120')\nexpect('xterm')",
    );
    assert_eq!(done.stdout, "status 5\n", "{}", done.stderr);
    let script = "trap 'echo caught' INT; echo ready; sleep 100; echo after";
    let done = in_terminal(
        &lab,
        &["sandbox", "exec", &id, "--", "sh", "-c", script],
        "expect('ready')\ntime.sleep(0.3)\ntype('\\x03')\nexpect('caught')\nexpect('after')",
    );
    assert_eq!(done.stdout, "status 0\n", "{}", done.stderr);
}

#[test]
fn a_shell_is_the_users_login_shell() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    let done = in_terminal(
        &lab,
        &["sandbox", "shell", &id, "--user", "user"],
        "time.sleep(0.5)\ntype('echo $((40+2)) $(id -un) $(pwd)\\n')\nexpect('42 user /home/user')\ntype('exit 6\\n')",
    );
    assert_eq!(done.stdout, "status 6\n", "{}", done.stderr);
    let piped = lab.with_input(&["sandbox", "shell", &id], b"echo from a pipe; exit 4\n");
    assert_eq!((piped.stdout.as_str(), piped.code), ("from a pipe\n", 4), "{piped:?}");
}
