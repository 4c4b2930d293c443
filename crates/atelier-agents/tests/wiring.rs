//! Plugging and unplugging as users see it: whose entry is whose, and what may go wrong.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use atelier_agents::{Agent, AgentError, Outcome, Scope, Server, Transport};
use atelier_api::Fault;
use support::{Lab, agent, read, remote, tool, tool_with_env};

#[test]
fn what_was_plugged_reads_back() {
    for agent in Agent::all() {
        let lab = Lab::new();
        for server in [tool_with_env("git-local"), remote("docs")] {
            lab.plug(agent, &server);
            let found = lab.wiring().read(agent, Scope::User, &server.name).unwrap().unwrap();
            assert_eq!((found.server, found.ours), (Some(server), true), "{agent}");
        }
        assert_eq!(lab.wiring().list(agent, Scope::User).unwrap().len(), 2, "{agent}");
        assert_eq!(lab.wiring().read(agent, Scope::User, "other").unwrap(), None);
    }
}

#[test]
fn a_users_own_entry_of_that_name_is_not_gone_over_without_force() {
    for agent in Agent::all() {
        let lab = Lab::new();
        lab.plug(agent, &Server::stdio("notion", "mine", &[]));
        fs::remove_file(lab.ledger()).unwrap();
        let before = read(&lab.file(agent));
        let error = lab.try_plug(agent, &tool("notion"), false).unwrap_err();
        assert_eq!((error.code(), error.exit().code()), ("agent.foreign", 4), "{agent}");
        let error = lab.wiring().unplug(agent, Scope::User, "notion", false).unwrap_err();
        assert_eq!(error.code(), "agent.foreign");
        assert_eq!(read(&lab.file(agent)), before, "{agent}");
        assert!(lab.wiring().records().is_empty(), "{agent}: nothing was written, nothing is ours");
        assert!(!lab.wiring().read(agent, Scope::User, "notion").unwrap().unwrap().ours);
        let change = lab.try_plug(agent, &tool("notion"), true).unwrap();
        assert_eq!(change.outcome, Outcome::Updated);
        assert_eq!(lab.unplug(agent, "notion"), Outcome::Removed);
    }
}

#[test]
fn an_entry_that_was_changed_by_hand_is_not_gone_over_without_force() {
    let lab = Lab::new();
    let claude = agent("claude");
    lab.plug(claude, &tool("notion"));
    let file = lab.file(claude);
    fs::write(&file, read(&file).replace("/usr/bin/atelier", "/opt/mine")).unwrap();
    let error = lab.try_plug(claude, &tool("notion"), false).unwrap_err();
    assert_eq!((error.code(), error.exit().code()), ("agent.changed", 4));
    assert!(lab.wiring().unplug(claude, Scope::User, "notion", false).is_err());
    lab.wiring().unplug(claude, Scope::User, "notion", true).unwrap();
    assert!(!file.exists());
}

#[test]
fn fields_that_the_user_adds_to_our_entry_stay() {
    let lab = Lab::new();
    let gemini = agent("gemini");
    lab.plug(gemini, &tool("notion"));
    let file = lab.file(gemini);
    fs::write(&file, read(&file).replace("\"args\"", "\"trust\": true,\n      \"args\"")).unwrap();
    assert_eq!(lab.plug(gemini, &tool("notion")), Outcome::Unchanged);
    assert_eq!(lab.plug(gemini, &remote("notion")), Outcome::Updated);
    let now = read(&file);
    assert!(now.contains("\"trust\": true") && now.contains("example.com"), "{now}");
    assert!(!now.contains("command"), "{now}");
}

#[test]
fn the_same_entry_that_the_ledger_does_not_know_is_taken_over() {
    let lab = Lab::new();
    let codex = agent("codex");
    lab.plug(codex, &tool("notion"));
    fs::remove_file(lab.ledger()).unwrap();
    assert_eq!(lab.plug(codex, &tool("notion")), Outcome::Unchanged);
    assert_eq!(lab.unplug(codex, "notion"), Outcome::Removed);
}

#[test]
fn what_an_agent_cannot_do_is_said() {
    let lab = Lab::new();
    let sse = Server {
        transport: Transport::Sse { url: "https://x/sse".into(), headers: [].into() },
        ..tool("old")
    };
    let error = lab.try_plug(agent("codex"), &sse, false).unwrap_err();
    assert_eq!(error.code(), "agent.transport");
    assert!(error.hints()[0].contains("atelier tool exec"), "{:?}", error.hints());
    let error = lab.try_plug(agent("claude"), &tool("Piper TTS"), false).unwrap_err();
    assert_eq!((error.code(), error.exit().code()), ("agent.name", 2));
    let windsurf = agent("windsurf");
    let error = lab.wiring().plug(windsurf, Scope::Project, &tool("a"), false).unwrap_err();
    assert_eq!(error.code(), "agent.no_project_level");
    assert!(Agent::find("emacs").unwrap_err().hints()[0].contains("claude, codex"));
}

#[test]
fn a_projects_file_is_the_projects() {
    let lab = Lab::new();
    for agent in Agent::all().filter(|agent| agent.can().project_servers) {
        let change = lab.wiring().plug(agent, Scope::Project, &tool("a"), false).unwrap();
        assert!(change.path.starts_with(lab.path("project")), "{agent}: {}", change.path.display());
        assert!(!lab.file(agent).exists(), "{agent}: the user's file is another");
        let mode = fs::metadata(&change.path).unwrap().permissions().mode();
        assert_ne!(mode & 0o044, 0, "{agent}: others of the project may read it");
        lab.wiring().unplug(agent, Scope::Project, "a", false).unwrap();
        assert!(!change.path.exists(), "{agent}");
    }
}

#[test]
fn a_linked_dotfile_is_written_where_it_really_is() {
    let lab = Lab::new();
    let codex = agent("codex");
    lab.write(&lab.path("dotfiles/codex.toml"), "model = \"o3\"\n");
    fs::create_dir(lab.path(".codex")).unwrap();
    symlink("../dotfiles/codex.toml", lab.file(codex)).unwrap();
    lab.plug(codex, &tool("notion"));
    assert!(lab.file(codex).is_symlink());
    assert!(read(&lab.path("dotfiles/codex.toml")).contains("[mcp_servers.notion]"));
}

#[test]
fn a_broken_file_is_left_alone_with_line_and_column() {
    let lab = Lab::new();
    for agent in Agent::all() {
        lab.write(&lab.file(agent), "{ [\n  = \n");
        let error = lab.try_plug(agent, &tool("a"), false).unwrap_err();
        assert!(matches!(error, AgentError::Broken { line: 1.., column: 1.., .. }), "{error}");
        assert_eq!(error.exit().code(), 5);
        assert_eq!(read(&lab.file(agent)), "{ [\n  = \n");
    }
    assert!(lab.wiring().records().is_empty());
}

#[test]
fn a_file_that_is_read_only_is_left_alone_and_nothing_is_recorded() {
    let lab = Lab::new();
    let claude = agent("claude");
    lab.write(&lab.file(claude), "{}");
    fs::set_permissions(lab.file(claude), fs::Permissions::from_mode(0o444)).unwrap();
    let mut wiring = lab.wiring();
    let error = wiring.plug(claude, Scope::User, &tool("a"), false).unwrap_err();
    assert_eq!((error.code(), error.exit().code()), ("agent.read_only", 10));
    assert!(wiring.records().is_empty());
}

#[test]
fn an_agent_that_writes_its_file_all_the_time_loses_nothing() {
    let lab = Lab::new();
    let claude = agent("claude");
    let file = lab.file(claude);
    lab.write(&file, "{\n  \"startups\": 0\n}");
    let theirs = file.clone();
    let writer = std::thread::spawn(move || {
        for count in 1..=200 {
            // As Claude Code does it: under its lock, by renaming.
            let lock = theirs.with_file_name(".claude.json.lock");
            while fs::create_dir(&lock).is_err() {
                std::thread::yield_now();
            }
            let now: serde_json::Value = serde_json::from_str(&read(&theirs)).unwrap();
            let mut now = now.as_object().unwrap().clone();
            now.insert("startups".into(), count.into());
            let part = theirs.with_extension("part");
            fs::write(&part, serde_json::to_string_pretty(&now).unwrap()).unwrap();
            fs::rename(part, &theirs).unwrap();
            fs::remove_dir(&lock).unwrap();
        }
    });
    for count in 0..20 {
        lab.plug(claude, &tool(&format!("tool-{count}")));
    }
    writer.join().unwrap();
    let now: serde_json::Value = serde_json::from_str(&read(&file)).unwrap();
    assert_eq!(now["startups"], 200);
    assert_eq!(now["mcpServers"].as_object().unwrap().len(), 20);
}

#[test]
fn runs_side_by_side_wait_for_each_other() {
    let lab = Lab::new();
    let codex = agent("codex");
    std::thread::scope(|scope| {
        for count in 0..8 {
            let lab = &lab;
            scope.spawn(move || lab.plug(codex, &tool(&format!("tool-{count}"))));
        }
    });
    assert_eq!(lab.wiring().list(codex, Scope::User).unwrap().len(), 8);
    assert_eq!(lab.wiring().records().len(), 8);
}

#[test]
fn opencodes_file_is_the_one_that_it_would_take() {
    let lab = Lab::new();
    let opencode = agent("opencode");
    lab.write(&lab.path(".config/opencode/opencode.json"), "{}");
    lab.write(&lab.path(".config/opencode/opencode.jsonc"), "{}");
    lab.plug(opencode, &tool("a"));
    assert!(read(&lab.path(".config/opencode/opencode.json")).contains("/usr/bin/atelier"));
}
