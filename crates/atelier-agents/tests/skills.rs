//! Skills as users see them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use atelier_agents::{Agent, Outcome, Scope, Skill, What};
use atelier_api::Fault;
use support::{Lab, agent, read};

fn notion() -> Skill {
    Skill::from_text("notion", "Reads and writes notes", "# Notion\n\nUse it.\n").unwrap()
}

fn plug(lab: &Lab, agent: Agent, skill: &Skill) -> Outcome {
    lab.wiring().plug_skill(agent, Scope::User, skill, false).unwrap().outcome
}

#[test]
fn every_agent_gets_a_folder_with_valid_frontmatter_at_both_levels() {
    let lab = Lab::new();
    for agent in Agent::all() {
        for scope in [Scope::User, Scope::Project] {
            let change = lab.wiring().plug_skill(agent, scope, &notion(), false).unwrap();
            let text = read(&change.path.join("SKILL.md"));
            assert!(text.starts_with("---\nname: notion\ndescription: \"Reads"), "{agent}: {text}");
            let again = lab.wiring().plug_skill(agent, scope, &notion(), false).unwrap();
            assert_eq!(again.outcome, Outcome::Unchanged, "{agent}");
        }
    }
    assert_eq!(lab.wiring().drift(|_| true), []);
    for agent in Agent::all() {
        for scope in [Scope::User, Scope::Project] {
            let change = lab.wiring().unplug_skill(agent, scope, "notion", false).unwrap();
            assert!(!change.path.exists(), "{agent}");
        }
    }
    assert!(lab.wiring().records().is_empty());
}

#[test]
fn a_folder_comes_with_all_that_belongs_to_it() {
    let lab = Lab::new();
    let source = lab.path("source");
    lab.write(&source.join("SKILL.md"), "See scripts/run.sh\n");
    lab.write(&source.join("scripts/run.sh"), "#!/bin/sh\n");
    fs::set_permissions(source.join("scripts/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("scripts/run.sh", source.join("run")).unwrap();
    let skill = Skill::from_folder("notion", "Notes", &source).unwrap();
    plug(&lab, agent("claude"), &skill);
    let folder = lab.path(".claude/skills/notion");
    let mode = fs::metadata(folder.join("scripts/run.sh")).unwrap().permissions().mode();
    assert_ne!(mode & 0o100, 0);
    assert_eq!(read(&folder.join("run")), "#!/bin/sh\n");
    // An upgrade takes away what the new version no longer has.
    fs::remove_file(source.join("run")).unwrap();
    let skill = Skill::from_folder("notion", "Notes", &source).unwrap();
    assert_eq!(plug(&lab, agent("claude"), &skill), Outcome::Updated);
    assert!(!folder.join("run").exists());
    let skills = fs::read_dir(lab.path(".claude/skills")).unwrap().count();
    assert_eq!(skills, 1, "nothing is left beside it");
}

#[test]
fn a_users_own_skill_of_that_name_stays() {
    let lab = Lab::new();
    let own = lab.path(".claude/skills/notion/SKILL.md");
    lab.write(&own, "mine");
    let claude = agent("claude");
    let error = lab.wiring().plug_skill(claude, Scope::User, &notion(), false).unwrap_err();
    assert_eq!((error.code(), error.exit().code()), ("agent.foreign", 4));
    assert!(lab.wiring().unplug_skill(claude, Scope::User, "notion", false).is_err());
    assert_eq!(read(&own), "mine");
    lab.wiring().plug_skill(claude, Scope::User, &notion(), true).unwrap();
    let backup = fs::read_dir(lab.backups()).unwrap().next().unwrap().unwrap().path();
    assert_eq!(read(&backup.join("SKILL.md")), "mine", "a backup is kept");
}

#[test]
fn a_skill_that_was_changed_by_hand_stays() {
    let lab = Lab::new();
    plug(&lab, agent("codex"), &notion());
    fs::write(lab.path(".codex/skills/notion/NOTES.md"), "mine").unwrap();
    assert_eq!(lab.wiring().drift(|_| true)[0].what, What::Changed);
    let error =
        lab.wiring().unplug_skill(agent("codex"), Scope::User, "notion", false).unwrap_err();
    assert_eq!(error.code(), "agent.changed");
}

#[test]
fn without_the_ledger_the_marker_tells_ours() {
    let lab = Lab::new();
    plug(&lab, agent("codex"), &notion());
    fs::remove_file(lab.ledger()).unwrap();
    let other = Skill::from_text("notion", "Other", "Other\n").unwrap();
    assert_eq!(plug(&lab, agent("codex"), &other), Outcome::Updated);
}

#[test]
fn a_folder_that_two_agents_share_stays_until_both_are_done_with_it() {
    let lab = Lab::new();
    let agents = lab.path(".agents");
    let places = lab.places.clone().with_variable("CODEX_HOME", agents.to_str().unwrap());
    let open =
        || atelier_agents::Wiring::open(places.clone(), &lab.ledger(), &lab.backups()).unwrap();
    for name in ["codex", "zed"] {
        open().plug_skill(agent(name), Scope::User, &notion(), false).unwrap();
    }
    let folder = agents.join("skills/notion");
    let change = open().unplug_skill(agent("codex"), Scope::User, "notion", false).unwrap();
    assert_eq!(change.outcome, Outcome::Unchanged);
    assert!(folder.is_dir());
    open().unplug_skill(agent("zed"), Scope::User, "notion", false).unwrap();
    assert!(!folder.exists());
}

#[test]
fn what_is_no_skill_is_refused() {
    let lab = Lab::new();
    let source = lab.path("source");
    let code = |source: &Path| Skill::from_folder("a", "b", source).unwrap_err().code();
    assert_eq!(code(&source), "agent.file");
    fs::create_dir(&source).unwrap();
    assert_eq!(code(&source), "agent.skill");
    lab.write(&source.join("SKILL.md"), "x");
    symlink("/etc/passwd", source.join("out")).unwrap();
    assert_eq!(code(&source), "agent.unfit");
    fs::remove_file(source.join("out")).unwrap();
    symlink("..", source.join("up")).unwrap();
    assert_eq!(code(&source), "agent.unfit");
    fs::remove_file(source.join("up")).unwrap();
    symlink(".", source.join("around")).unwrap();
    assert_eq!(code(&source), "agent.unfit");
    for name in ["", "Notion", "../x", "a--b", "-a"] {
        assert_eq!(Skill::from_text(name, "b", "c").unwrap_err().code(), "agent.skill", "{name}");
    }
}
