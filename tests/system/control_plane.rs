//! It starts when it is needed, stops without touching environments, and goes on where it was.

use std::process::Command;

use crate::support::{Lab, wait_until};

#[test]
fn environments_outlive_the_control_plane() {
    let lab = Lab::new();
    let mut client =
        lab.spawn(&["run", "a", "--", "sh", "-c", "echo $$; sleep 4; echo done; exit 8"]);
    wait_until("it runs", || lab.run(&["env", "show", "a", "--json"]).stdout.contains("sleep"));
    lab.ok(&["stop"]);
    let output = loop {
        if client.try_wait().unwrap().is_some() {
            break client.wait_with_output().unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    // The client went back to its command through a new control plane.
    assert_eq!(output.status.code(), Some(8), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("done\n"));
}

#[test]
fn a_killed_control_plane_loses_no_output() {
    let lab = Lab::new();
    lab.ok(&["run", "a", "--", "true"]);
    let script = "for n in $(seq 1 60); do echo line $n; sleep 0.05; done";
    let client = lab.spawn(&["run", "a", "--", "sh", "-c", script]);
    std::thread::sleep(std::time::Duration::from_millis(700));
    let pid = lab.control_plane().unwrap();
    // SAFETY: a signal to a process that this test started.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
    let output = client.wait_with_output().unwrap();
    let wanted: String = (1..=60).map(|n| format!("line {n}\n")).collect();
    assert_eq!(String::from_utf8_lossy(&output.stdout), wanted);
    assert_eq!(output.status.code(), Some(0));
    assert_ne!(lab.control_plane(), Some(pid));
}

#[test]
fn two_first_commands_at_once_start_one_control_plane() {
    let lab = Lab::new();
    let clients: Vec<_> =
        (0..6).map(|n| lab.spawn(&["run", &format!("e{n}"), "--", "true"])).collect();
    for client in clients {
        let output = client.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(lab.json(&["status"])["environments"]["total"], 6);
}

#[test]
fn over_tcp_a_key_is_asked_for() {
    let lab = Lab::new();
    lab.ok(&["serve", "--background", "--listen", "127.0.0.1:0"]);
    let address = lab.json(&["status"])["listen"].as_str().unwrap().to_owned();
    let host = format!("http://{address}");
    let with = |token: Option<String>| {
        let mut command = lab.command(&["status"]);
        command.env("ATELIER_HOST", &host);
        if let Some(token) = token {
            command.env("ATELIER_TOKEN", token);
        }
        crate::support::Done::of(command.output().unwrap())
    };
    let key = std::fs::read_to_string(lab.home().join("keys/api")).unwrap();
    assert_eq!(with(Some(key)).code, 0);
    with(Some("0".repeat(64))).fails(10, &["key"]);
    let page = Command::new("python3")
        .args(["-c", &format!(
            "import urllib.request as u, urllib.error as e\n\
             try: u.urlopen(u.Request('{host}/api/v1/status', headers={{'Origin': 'http://evil.example'}}))\n\
             except e.HTTPError as x: print(x.code)"
        )])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&page.stdout).trim(), "403");
    lab.run(&["serve", "--listen", "0.0.0.0:0"]).fails(4, &[]);
}

#[test]
fn changes_are_audited() {
    let lab = Lab::new();
    lab.ok(&["env", "create", "a"]);
    lab.run(&["env", "rm", "--yes", "nothing"]).fails(3, &["nothing"]);
    let rows = lab.json(&["audit"]);
    let find =
        |action: &str| rows.as_array().unwrap().iter().find(|r| r["action"] == action).unwrap();
    assert_eq!(find("env.create")["outcome"], "ok");
    assert_eq!(find("env.remove")["outcome"], "env.not_found");
    assert!(find("env.create")["actor"].as_str().unwrap().starts_with("uid:"));
}

#[test]
fn what_happens_is_sent_as_events() {
    use std::io::BufRead;
    let lab = Lab::new();
    lab.ok(&["env", "ls"]);
    let mut listener = lab.spawn(&["events"]);
    let mut lines = std::io::BufReader::new(listener.stdout.take().unwrap()).lines();
    std::thread::sleep(std::time::Duration::from_millis(500));
    lab.ok(&["env", "create", "a"]);
    let event: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(
        (event["kind"].as_str(), event["subject"].as_str()),
        (Some("env.created"), Some("shop/a"))
    );
    listener.kill().unwrap();
    listener.wait().unwrap();
}

#[test]
fn a_new_version_replaces_the_control_plane_and_environments_go_on() {
    let lab = Lab::new();
    let client = lab.spawn(&["run", "a", "--", "sh", "-c", "sleep 3; echo survived"]);
    wait_until("it runs", || lab.run(&["env", "show", "a", "--json"]).stdout.contains("sleep"));
    let old = lab.control_plane().unwrap();
    // The same program, but another file: another build, as far as anybody can tell.
    let newer = lab.user_home().join("atelier");
    std::fs::copy(env!("CARGO_BIN_EXE_atelier"), &newer).unwrap();
    std::fs::File::options()
        .append(true)
        .open(&newer)
        .unwrap()
        .set_len(std::fs::metadata(&newer).unwrap().len() + 1)
        .unwrap();
    let template = lab.command(&["env", "ls", "-q"]);
    let mut command = Command::new(&newer);
    command.args(template.get_args()).env_clear().current_dir(&lab.project);
    for (key, value) in template.get_envs() {
        command.env(key, value.unwrap());
    }
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "a\n", "{output:?}");
    let output = client.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "survived\n", "{output:?}");
    assert_ne!(lab.control_plane(), Some(old));
}

#[test]
fn idle_it_takes_little_memory_also_after_much_work() {
    let lab = Lab::new();
    let names: Vec<String> = (0..60).map(|n| format!("e{n}")).collect();
    let creates: Vec<_> = names.iter().map(|n| lab.spawn(&["env", "create", n])).collect();
    for create in creates {
        assert!(create.wait_with_output().unwrap().status.success());
    }
    // The promise is the release build's; of a debug build's larger code more pages are in memory.
    let bound = if cfg!(debug_assertions) { 96 << 20 } else { 40 << 20 };
    wait_until("the memory is given back", || {
        lab.json(&["status"])["memory_bytes"].as_u64().unwrap() < bound
    });
}
