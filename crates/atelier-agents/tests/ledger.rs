//! The ledger: what it knows when the agent's file says something else, and after a kill.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use atelier_agents::{Kind, Outcome, Scope, Skill, State, What};
use atelier_api::Fault;
use support::{Lab, agent, read, remote, tool};

#[test]
fn everything_that_was_written_is_in_it() {
    let lab = Lab::new();
    lab.plug(agent("claude"), &tool("notion"));
    let record = lab.wiring().records()[0].clone();
    assert_eq!(
        (record.agent.as_str(), record.scope, record.kind, record.name.as_str()),
        ("claude", Scope::User, Kind::Server, "notion")
    );
    assert_eq!(record.path, lab.path(".claude.json"));
    assert_eq!(record.key.as_deref(), Some("mcpServers.notion"));
    assert_eq!(record.state, State::Done);
    assert_eq!(fs::metadata(lab.ledger()).unwrap().permissions().mode() & 0o777, 0o600);
    let before = read(&lab.ledger());
    lab.plug(agent("claude"), &tool("notion"));
    assert_eq!(read(&lab.ledger()), before, "nothing was done, nothing is written");
}

#[test]
fn drift_tells_what_is_missing_changed_or_nobodys() {
    let lab = Lab::new();
    let codex = agent("codex");
    for name in ["gone", "changed", "orphan", "fine"] {
        lab.plug(codex, &tool(name));
    }
    let file = lab.file(codex);
    let text = read(&file)
        .replace("[\"tool\", \"exec\", \"changed\"]", "[]")
        .replace("[mcp_servers.gone]", "[other]");
    fs::write(&file, text).unwrap();
    lab.plug(agent("zed"), &tool("fine"));
    fs::write(lab.file(agent("zed")), "{").unwrap();
    let drift = lab.wiring().drift(|name| name != "orphan");
    let said: Vec<_> = drift.iter().map(|d| (d.record.name.as_str(), &d.what)).collect();
    assert_eq!(said[0], ("changed", &What::Changed));
    assert_eq!(said[1], ("gone", &What::Missing));
    assert_eq!(said[2], ("orphan", &What::Orphan));
    assert!(matches!(said[3], ("fine", What::Unknown(_))), "{said:?}");
    assert_eq!(said.len(), 4);
}

#[test]
fn what_was_written_is_taken_out_where_it_was_written() {
    let lab = Lab::new();
    let codex = agent("codex");
    lab.plug(codex, &tool("notion"));
    let skill = Skill::from_text("notion", "Notes", "# Notion\n").unwrap();
    lab.wiring().plug_skill(codex, Scope::User, &skill, false).unwrap();
    // Codex looks elsewhere by now, and the tool is gone.
    let places = lab.places.clone().with_variable("CODEX_HOME", "/elsewhere");
    let mut wiring = atelier_agents::Wiring::open(places, &lab.ledger(), &lab.backups()).unwrap();
    for record in wiring.records().to_vec() {
        assert_eq!(wiring.withdraw(&record, false).unwrap().outcome, Outcome::Removed);
    }
    assert!(wiring.records().is_empty());
    assert!(!lab.file(codex).exists() && !lab.path(".codex/skills/notion").exists());
}

/// What a run leaves that was killed between two of its steps.
fn killed(lab: &Lab, state: &str) {
    let text = read(&lab.ledger());
    assert!(text.contains("\"state\": \"done\""), "{text}");
    fs::write(lab.ledger(), text.replacen("\"state\": \"done\"", state, 1)).unwrap();
}

#[test]
fn a_run_that_was_killed_before_the_file_was_written_did_nothing() {
    let lab = Lab::new();
    let claude = agent("claude");
    lab.plug(claude, &tool("notion"));
    killed(&lab, "\"state\": {\"writing\": {\"before\": null}}");
    fs::remove_file(lab.file(claude)).unwrap();
    assert!(lab.wiring().records().is_empty());
}

#[test]
fn a_run_that_was_killed_after_the_file_was_written_did_it() {
    let lab = Lab::new();
    lab.plug(agent("claude"), &tool("notion"));
    killed(&lab, "\"state\": {\"writing\": {\"before\": null}}");
    assert_eq!(lab.wiring().records()[0].state, State::Done);
    assert_eq!(lab.unplug(agent("claude"), "notion"), Outcome::Removed);
}

#[test]
fn an_update_that_was_killed_leaves_what_was_there_ours() {
    let lab = Lab::new();
    let claude = agent("claude");
    lab.plug(claude, &remote("notion"));
    let (file, remote_hash) = (read(&lab.file(claude)), lab.wiring().records()[0].hash.clone());
    lab.plug(claude, &tool("notion"));
    killed(&lab, &format!("\"state\": {{\"writing\": {{\"before\": \"{remote_hash}\"}}}}"));
    fs::write(lab.file(claude), file).unwrap();
    assert_eq!(lab.wiring().records()[0].hash, remote_hash);
    assert_eq!(lab.plug(claude, &tool("notion")), Outcome::Updated);
}

#[test]
fn a_removal_that_was_killed_is_known() {
    let lab = Lab::new();
    let claude = agent("claude");
    lab.plug(claude, &tool("notion"));
    killed(&lab, "\"state\": \"removing\"");
    assert_eq!(lab.wiring().records()[0].state, State::Done, "it is still there");
    killed(&lab, "\"state\": \"removing\"");
    fs::remove_file(lab.file(claude)).unwrap();
    assert!(lab.wiring().records().is_empty());
}

#[test]
fn a_ledger_that_is_none_is_said_and_left_alone() {
    let lab = Lab::new();
    for text in ["{", "{\"schema\": \"other/1\", \"records\": []}"] {
        lab.write(&lab.ledger(), text);
        let opened =
            atelier_agents::Wiring::open(lab.places.clone(), &lab.ledger(), &lab.backups());
        assert_eq!(opened.unwrap_err().code(), "agent.ledger");
        assert_eq!(read(&lab.ledger()), text);
    }
}
