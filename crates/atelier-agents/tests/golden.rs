//! What stands in each agent's file, byte for byte: `tests/golden/AGENT.fresh` is what a file is that did
//! not exist, `AGENT.before` a user's own, `AGENT.after` the same with a tool in it.
//! `ATELIER_WRITE_GOLDEN=1` writes them anew.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::{Path, PathBuf};

use atelier_agents::{Agent, Outcome};
use support::{Lab, read, remote, tool, tool_with_env};

fn golden(agent: Agent, what: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{agent}.{what}"))
}

fn same(agent: Agent, what: &str, now: &str) {
    let file = golden(agent, what);
    if std::env::var_os("ATELIER_WRITE_GOLDEN").is_some() {
        std::fs::write(&file, now).unwrap();
    }
    assert_eq!(now, read(&file), "{}", file.display());
}

#[test]
fn a_file_that_did_not_exist_is_as_the_agent_itself_would_write_it() {
    for agent in Agent::all() {
        let lab = Lab::new();
        assert_eq!(lab.plug(agent, &tool_with_env("git-local")), Outcome::Added);
        assert_eq!(lab.plug(agent, &remote("docs")), Outcome::Added);
        same(agent, "fresh", &read(&lab.file(agent)));
        lab.unplug(agent, "git-local");
        lab.unplug(agent, "docs");
        assert!(!lab.file(agent).exists(), "{agent}: made for us, so it goes with us");
    }
}

#[test]
fn a_users_own_file_keeps_all_that_is_theirs() {
    for agent in Agent::all() {
        let before = read(&golden(agent, "before"));
        let lab = Lab::new();
        let file = lab.file(agent);
        lab.write(&file, &before);
        assert_eq!(lab.plug(agent, &tool("git-local")), Outcome::Added);
        let after = read(&file);
        same(agent, "after", &after);
        assert_eq!(lab.plug(agent, &tool("git-local")), Outcome::Unchanged);
        assert_eq!(read(&file), after, "{agent}: twice is the same as once");
        assert_eq!(lab.plug(agent, &tool_with_env("git-local")), Outcome::Updated);
        assert_eq!(lab.plug(agent, &tool("git-local")), Outcome::Updated);
        assert_eq!(read(&file), after, "{agent}: there and back");
        assert_eq!(lab.unplug(agent, "git-local"), Outcome::Removed);
        assert_eq!(read(&file), before, "{agent}: unplugged is as before");
        assert_eq!(lab.unplug(agent, "git-local"), Outcome::Unchanged);
    }
}
