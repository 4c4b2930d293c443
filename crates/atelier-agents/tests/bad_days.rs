//! Days on which runs are killed and disks are full.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use atelier_agents::{Agent, Scope, Skill};
use atelier_api::Fault;
use support::{Lab, agent, read, remote, tool};

#[test]
fn a_kill_at_any_moment_leaves_whole_files_and_a_ledger_that_is_true() {
    let lab = Lab::new();
    let own = "{\n  // mine\n  \"ui\": {\"theme\": \"Dark\"},\n  \"mcpServers\": {\n    \"mine\": {\"command\": \"x\"}\n  }\n}\n";
    lab.write(&lab.file(agent("gemini")), own);
    for round in 0..25 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_run_that_is_killed", "--ignored"])
            .env("ATELIER_KILLED_HOME", lab.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(30 + round * 7));
        child.kill().unwrap();
        child.wait().unwrap();
        let wiring = lab.wiring();
        assert_eq!(wiring.drift(|_| true), [], "round {round}");
        for agent in Agent::all() {
            for found in wiring.list(agent, Scope::User).unwrap() {
                assert_eq!(
                    found.ours,
                    found.name != "mine",
                    "round {round}: {agent} {}",
                    found.name
                );
            }
        }
        drop(wiring);
        let leftovers: Vec<_> =
            fs::read_dir(lab.path(".gemini")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(leftovers.len() <= 2, "round {round}: {leftovers:?}");
    }
    let mut wiring = lab.wiring();
    for record in wiring.records().to_vec() {
        wiring.withdraw(&record, false).unwrap();
    }
    assert_eq!(read(&lab.file(agent("gemini"))), own);
}

#[test]
#[ignore = "not a test: the process that the one above starts"]
fn the_run_that_is_killed() {
    let home = std::env::var_os("ATELIER_KILLED_HOME").unwrap();
    let home = Path::new(&home);
    let places = atelier_agents::Places::new(home);
    let (ledger, backups) = (home.join("atelier/ledger.json"), home.join("atelier/backups"));
    loop {
        for agent in ["gemini", "codex"].map(agent) {
            let mut wiring =
                atelier_agents::Wiring::open(places.clone(), &ledger, &backups).unwrap();
            let skill = Skill::from_text("notion", "Notes", "# Notion\n").unwrap();
            wiring.plug(agent, Scope::User, &tool("notion"), false).unwrap();
            wiring.plug(agent, Scope::User, &remote("notion"), false).unwrap();
            wiring.plug_skill(agent, Scope::User, &skill, false).unwrap();
            wiring.unplug(agent, Scope::User, "notion", false).unwrap();
            wiring.unplug_skill(agent, Scope::User, "notion", false).unwrap();
        }
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    let lab = Lab::new();
    // A small disk for a child of its own, so that it goes with the child.
    let mount = "mount -t tmpfs -o size=512k tmpfs \"$1\" && shift && exec \"$@\"";
    let child = Command::new("unshare")
        .args(["-rm", "sh", "-c", mount, "sh"])
        .arg(lab.folder.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "the_run_on_a_full_disk", "--ignored"])
        .env("ATELIER_FULL_HOME", lab.folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout) + String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "not a test: the process that the one above starts"]
fn the_run_on_a_full_disk() {
    let home = std::env::var_os("ATELIER_FULL_HOME").unwrap();
    let home = Path::new(&home);
    let open = || {
        let places = atelier_agents::Places::new(home);
        let (ledger, backups) = (home.join("atelier/ledger.json"), home.join("atelier/backups"));
        atelier_agents::Wiring::open(places, &ledger, &backups).unwrap()
    };
    let claude = agent("claude");
    let own = format!("{{\n  \"history\": \"{}\"\n}}\n", "x".repeat(100_000));
    fs::write(home.join(".claude.json"), &own).unwrap();
    open().plug(claude, Scope::User, &tool("first"), false).unwrap();
    let before = read(&home.join(".claude.json"));
    // Whatever is left, in small pieces too.
    for (name, size) in [("large", 4096), ("small", 1)] {
        let mut file = fs::File::create(home.join(name)).unwrap();
        while std::io::Write::write_all(&mut file, &vec![0; size]).is_ok() {}
    }
    let mut wiring = open();
    let error = wiring.plug(claude, Scope::User, &tool("second"), false).unwrap_err();
    assert_eq!(error.code(), "agent.file", "{error}");
    assert!(error.to_string().contains("No space left"), "{error}");
    let skill = Skill::from_text("second", "Notes", "# Notes\n").unwrap();
    assert!(wiring.plug_skill(claude, Scope::User, &skill, false).is_err());
    assert!(wiring.unplug(claude, Scope::User, "first", false).is_err());
    drop(wiring);
    assert_eq!(read(&home.join(".claude.json")), before);
    fs::remove_file(home.join("large")).unwrap();
    let mut wiring = open();
    assert_eq!(wiring.drift(|_| true), []);
    let names: Vec<_> = wiring.records().iter().map(|record| record.name.as_str()).collect();
    assert_eq!(names, ["first"]);
    wiring.unplug(claude, Scope::User, "first", false).unwrap();
    assert_eq!(read(&home.join(".claude.json")), own);
}
