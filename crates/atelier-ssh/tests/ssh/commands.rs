//! Commands: output, input, codes, signals, variables, users, keys.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use crate::harness::{Place, feed, ok, text, until};

#[test]
fn a_command_runs_in_the_users_shell_and_home() {
    let place = Place::new();
    let output = place.ssh(&["box", "echo \"a  b\" | tr a x; pwd; echo $0"]);
    let home = fs::canonicalize(place.path("home")).unwrap();
    let said = ok(&output);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..2], ["x  b", home.to_str().unwrap()]);
    assert!(lines[2].ends_with("sh"), "{said}");
}

#[test]
fn output_comes_apart_and_the_code_comes_back() {
    let place = Place::new();
    let output = place.ssh(&["box", "echo out; echo err >&2; exit 7"]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\n".into(), "err\n".into()));
    assert_eq!(place.ssh(&["box", "no-such-command"]).status.code(), Some(127));
}

#[test]
fn a_signal_that_ends_a_command_is_told() {
    let place = Place::new();
    let output = place.ssh(&["-v", "-o", "LogLevel=DEBUG2", "box", "kill -TERM $$"]);
    assert_eq!(output.status.code(), Some(255));
    assert!(text(&output.stderr).contains("exit-signal"), "{}", text(&output.stderr));
}

#[test]
fn input_arrives_with_its_end() {
    let place = Place::new();
    let output = place.ssh_with(&["box", "cat; echo done"], b"one\ntwo\n");
    assert_eq!(ok(&output), "one\ntwo\ndone\n");
}

#[test]
fn a_login_shell_reads_commands_from_its_input() {
    let place = Place::new();
    let output = place.ssh_with(&["-T", "box"], b"echo $((40+2))\nexit 5\n");
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("42\n", Some(5)));
}

#[test]
fn a_line_that_is_no_text_arrives_as_it_is() {
    let place = Place::new();
    let mut ssh = place.program("ssh");
    ssh.arg("box").arg(std::ffi::OsStr::from_bytes(b"printf '\xff\xfe' | od -An -tx1; pwd"));
    let said = ok(&ssh.output().unwrap());
    assert!(said.starts_with(" ff fe\n"), "{said}");
    assert!(said.trim_end().ends_with("home"), "{said}");
}

#[test]
fn variables_come_from_the_client_and_from_the_sandbox() {
    let place = Place::new();
    let mut ssh = place.program("ssh");
    ssh.args(["-o", "SetEnv=GIT_PROTOCOL=version=2", "box"]);
    ssh.arg("echo $LC_NAME $GIT_PROTOCOL $FROM_DOORS ${SSH_CONNECTION%% *}").env("LC_NAME", "de");
    assert_eq!(ok(&ssh.output().unwrap()), "de version=2 yes 127.0.0.1\n");
}

#[test]
fn a_login_may_name_a_user_inside() {
    let place = Place::new();
    if ok(&place.ssh(&["box", "id -u"])).trim() != "0" {
        eprintln!("skipped: only a guest that runs as root can become others");
        return;
    }
    assert_eq!(ok(&place.ssh(&["nobody", "id -un; echo $SHELL"])), "nobody\n/bin/sh\n");
    assert_eq!(place.ssh(&["-l", "box+no-such-user", "box", "true"]).status.code(), Some(255));
}

#[test]
fn a_sandbox_that_is_not_there_is_told_in_a_line() {
    let place = Place::new();
    let output = place.ssh(&["other", "true"]);
    assert_eq!(output.status.code(), Some(255));
    assert_eq!(
        text(&output.stderr),
        "atelier: there is no sandbox 'other'\r\natelier: hint: run 'atelier sandbox ls'\r\n"
    );
}

#[test]
fn an_image_without_a_shell_says_so() {
    let hidden = "mount --make-rprivate / && mount -t tmpfs none /usr/bin && exec \"$0\" \"$@\"";
    let mut probe = Command::new("unshare");
    probe.args(["-rm", "sh", "-c", hidden, "/proc/self/exe", "-c", ""]).stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.code() != Some(1)) || !merged_usr() {
        eprintln!("skipped: /usr/bin can't be hidden here");
        return;
    }
    let place = Place::with_guest(|guest| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", hidden]).arg(guest);
        command
    });
    let output = place.ssh(&["box", "true"]);
    assert_eq!(output.status.code(), Some(127));
    assert!(text(&output.stderr).contains("command not found: /bin/sh"), "{output:?}");
    // Files need nothing of the image.
    fs::write(place.path("batch"), "pwd\n").unwrap();
    let mut sftp = place.program("sftp");
    ok(&sftp.arg("-b").arg(place.path("batch")).arg("box").output().unwrap());
}

fn merged_usr() -> bool {
    fs::read_link("/bin").is_ok_and(|to| to.ends_with("usr/bin"))
}

#[test]
fn only_known_keys_come_in() {
    let place = Place::new();
    place.make_key("ed25519", "stranger");
    let output = place.ssh_by("stranger", &["box", "true"]);
    assert_eq!(output.status.code(), Some(255));
    assert!(text(&output.stderr).contains("Permission denied (publickey)"), "{output:?}");
    // Keys are read for each login: from now on this one is known.
    fs::copy(place.path("stranger.pub"), place.path("atelier/keys/authorized_keys")).unwrap();
    ok(&place.ssh_by("stranger", &["box", "true"]));
}

#[test]
fn keys_of_the_usual_kinds_come_in() {
    let place = Place::new();
    for kind in ["rsa", "ecdsa", "ed25519"] {
        let name = format!("user/.ssh/id_{kind}");
        place.make_key(kind, &name);
        let output = place.ssh_by(&name, &["box", "true"]);
        assert!(output.status.success(), "{kind}: {output:?}");
    }
    let old = ["-o", "PubkeyAcceptedAlgorithms=ssh-rsa", "box", "true"];
    assert_eq!(place.ssh_by("user/.ssh/id_rsa", &old).status.code(), Some(255));
}

#[test]
fn many_sessions_share_one_connection() {
    let place = Place::new();
    let control = format!("ControlPath={}", place.path("control").display());
    let shared = |words: &[&str]| {
        let mut ssh = place.program("ssh");
        ssh.args(["-o", &control]).args(words);
        ssh
    };
    let master = shared(&["-M", "-N", "box"]).stderr(Stdio::null()).spawn().unwrap();
    until(|| shared(&["-O", "check", "box"]).output().unwrap().status.success());
    // One whose process reads nothing, and another that goes on beside it.
    let stuck = std::thread::scope(|scope| {
        let stuck = scope.spawn(|| {
            let input = vec![b'x'; 24 << 20];
            feed(
                &mut shared(&["box", "echo stuck; while [ ! -e go ]; do sleep 0.05; done; wc -c"]),
                &input,
            )
        });
        until(|| place.runs("while [ ! -e go ]"));
        for number in 0..20 {
            assert_eq!(
                ok(&shared(&["box", &format!("echo {number}")]).output().unwrap()).trim(),
                number.to_string()
            );
        }
        fs::write(place.path("home/go"), "").unwrap();
        stuck.join().unwrap()
    });
    assert_eq!(ok(&stuck), format!("stuck\n{}\n", 24 << 20));
    ok(&shared(&["-O", "exit", "box"]).output().unwrap());
    master.wait_with_output().unwrap();
}

#[test]
fn what_nobody_listens_to_any_more_ends() {
    let place = Place::new();
    for line in ["yes unheard-one", "cat; echo unheard-two >/dev/null; exit 0"] {
        let mut ssh = place.program("ssh");
        ssh.args(["box", line]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = ssh.spawn().unwrap();
        until(|| place.runs(line));
        crate::harness::end(&child);
        child.wait().unwrap();
        until(|| !place.runs(line));
    }
}

#[test]
fn stopping_the_server_ends_its_connections() {
    let place = Place::new();
    let child = place
        .program("ssh")
        .args(["box", "echo up; sleep 600"])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    until(|| place.runs("sleep 600"));
    place.stop.cancel();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(255));
}
