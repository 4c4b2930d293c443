//! `atelier mcp`: the tools as an MCP server, looked at by MCP's own inspector.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::{SPEAKER, Shed};

/// What the inspector prints for a method.
fn inspector(shed: &Shed, args: &[&str]) -> Value {
    let folder = std::env::var_os("ATELIER_TEST_MCP")
        .expect("scripts/test installs the inspector (tests/mcp) and sets ATELIER_TEST_MCP");
    let program = PathBuf::from(folder).join("node_modules/.bin/mcp-inspector");
    let own = shed.lab.command::<&str>(&[]);
    let mut command = Command::new(program);
    command.env_clear().arg("--cli").arg(own.get_program()).arg("mcp").args(["--only", "tools"]);
    let known = own.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let done = command.args(args).envs(known).current_dir(&shed.lab.project).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    serde_json::from_str(&said)
        .unwrap_or_else(|e| panic!("{e}: {said}{}", String::from_utf8_lossy(&done.stderr)))
}

pub(super) fn call(shed: &Shed, tool: &str, arguments: &[&str]) -> Value {
    let mut args = vec!["--method", "tools/call", "--tool-name", tool];
    for argument in arguments {
        args.extend(["--tool-arg", argument]);
    }
    inspector(shed, &args)
}

#[test]
fn an_agent_finds_uses_and_may_not_add_until_the_settings_say_so() {
    let shed = Shed::new();
    shed.publish("speaker-one", &SPEAKER);
    shed.init();
    let tools = inspector(&shed, &["--method", "tools/list"]);
    let names: Vec<_> =
        tools["tools"].as_array().unwrap().iter().map(|t| t["name"].clone()).collect();
    for name in ["tool_search", "tool_add", "tool_functions", "tool_call"] {
        assert!(names.contains(&json!(name)), "{names:?}");
    }
    let found = call(&shed, "tool_search", &["query=speaker"]);
    assert!(found.to_string().contains("speaker-one"), "{found}");
    let refused = call(&shed, "tool_add", &["source=speaker-one"]);
    assert_eq!(refused["isError"], true, "{refused}");
    assert!(refused.to_string().contains("atelier tool add speaker-one"), "{refused}");

    fs::write(shed.lab.home().join("config.yaml"), "tools: {consent: verified}\n").unwrap();
    let added = call(&shed, "tool_add", &["source=speaker-one"]);
    assert_ne!(added["isError"], true, "{added}");
    let done =
        shed.lab.with_input(&["tool", "setup", "speaker-one", "--set", "API_KEY=-"], b"12345");
    assert_eq!(done.code, 0, "{}", done.stderr);
    let said = call(&shed, "tool_call", &["name=speaker-one", "function=whoami"]);
    assert!(said.to_string().contains("id-1 5"), "{said}");
    let removed = call(&shed, "tool_remove", &["name=speaker-one"]);
    assert_eq!(removed["isError"], true, "{removed}");
}
