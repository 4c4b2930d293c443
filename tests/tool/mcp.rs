//! `atelier mcp`: the tools as an MCP server, looked at by MCP's own inspector.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::{SPEAKER, Shed};

/// Clients that others wrote.
fn clients() -> PathBuf {
    let folder = std::env::var_os("ATELIER_TEST_MCP")
        .expect("scripts/test installs the inspector (tests/mcp) and sets ATELIER_TEST_MCP");
    PathBuf::from(folder)
}

/// What a client prints that starts `atelier mcp` with the shed's home.
fn client(shed: &Shed, mut command: Command, before: &[&str], args: &[&str]) -> Value {
    let own = shed.lab.command::<&str>(&[]);
    command.env_clear().args(before).arg(own.get_program()).arg("mcp");
    let known = own.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let done = command.args(args).envs(known).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    serde_json::from_str(&said)
        .unwrap_or_else(|e| panic!("{e}: {said}{}", String::from_utf8_lossy(&done.stderr)))
}

/// What the inspector prints for a method.
fn inspector(shed: &Shed, args: &[&str]) -> Value {
    let mut command = Command::new(clients().join("node_modules/.bin/mcp-inspector"));
    command.current_dir(&shed.lab.project);
    client(shed, command, &["--cli"], &[&["--only", "tools"], args].concat())
}

fn node() -> PathBuf {
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    clients().join(format!("node_modules/node-linux-{arch}/bin/node"))
}

fn script(name: &str) -> String {
    format!("{}/../../tests/tool/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// What the SDK for Python is asked and told as an agent: `mode` is a revision, or "legacy".
fn agent(shed: &Shed, mode: &str, answer: &str, tool: &str, arguments: &Value) -> Value {
    let mut command = Command::new(clients().join("venv/bin/python"));
    command.current_dir(&shed.lab.project);
    let arguments = arguments.to_string();
    client(shed, command, &[&script("asked.py"), mode, answer, tool, &arguments], &[])
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

/// What nobody but the user agrees to: asked through the agent, in the words of the plan.
fn asks(shed: &Shed, mode: &str) {
    let source = json!({"source": "speaker-one"});
    let installed = || shed.json(&["ls"]).as_array().unwrap().len();
    for (answer, code) in [("decline", "tool.declined"), ("cancel", "tool.unanswered")] {
        let said = agent(shed, mode, answer, "tool_add", &source);
        assert_eq!((said["failed"].as_bool(), installed()), (Some(true), 0), "{said}");
        assert!(said["text"].as_str().unwrap().contains(code), "{said}");
        let asked = said["asked"][0].as_str().unwrap();
        assert!(asked.starts_with("May the agent add speaker-one?"), "{asked}");
        assert!(asked.contains("python3") && asked.contains("API_KEY"), "{asked}");
    }
    let refused = agent(shed, mode, "none", "tool_add", &source);
    assert!(refused["text"].to_string().contains("atelier tool add speaker-one"), "{refused}");
    assert_eq!(installed(), 0);
    let added = agent(shed, mode, "accept", "tool_add", &source);
    assert_eq!((added["failed"].as_bool(), installed()), (Some(false), 1), "{added}");
    assert_eq!(added["asked"].as_array().unwrap().len(), 1, "{added}");
    let removed = agent(shed, mode, "accept", "tool_remove", &json!({"name": "speaker-one"}));
    assert_eq!((removed["failed"].as_bool(), installed()), (Some(false), 0), "{removed}");
}

#[test]
fn the_user_is_asked_through_the_agent_in_sessions_and_without() {
    let shed = Shed::new();
    shed.publish("speaker-one", &SPEAKER);
    shed.init();
    asks(&shed, "legacy");
    asks(&shed, "2026-07-28");
    fs::write(shed.lab.home().join("config.yaml"), "tools: {consent: deny}\n").unwrap();
    let refused = agent(&shed, "legacy", "accept", "tool_add", &json!({"source": "speaker-one"}));
    assert!(refused["text"].to_string().contains("tools.consent is deny"), "{refused}");
    assert_eq!(refused["asked"], json!([]), "nobody is asked for what is denied");
}

#[test]
fn the_sdk_for_typescript_asks_its_user_what_may_be_wired() {
    let shed = Shed::new();
    shed.publish("speaker-one", &SPEAKER);
    shed.init();
    shed.ok(&["add", "speaker-one", "--yes"]);
    let wires = json!({"names": ["speaker-one"], "agents": ["cursor"]}).to_string();
    let file = shed.lab.user_home().join(".cursor/mcp.json");
    for (answer, wired) in [("decline", false), ("cancel", false), ("accept", true)] {
        let mut command = Command::new(node());
        // There the SDK is found.
        command.current_dir(clients());
        let before = [&script("asked.mjs"), answer, "tool_plug", &wires];
        let said = client(&shed, command, &before, &[]);
        assert_eq!(said["asked"], json!(["May the agent plug speaker-one?"]), "{said}");
        assert_eq!((said["failed"].as_bool(), file.exists()), (Some(!wired), wired), "{said}");
    }
}

#[test]
fn an_agent_reads_what_is_installed_and_gets_prompts() {
    let shed = Shed::new();
    let with_readme = [&SPEAKER[..], &[("README.md", "Speak up.\n")]].concat();
    shed.publish("speaker-one", &with_readme);
    shed.init();
    let uris = |listed: &Value| -> Vec<String> {
        let all = listed["resources"].as_array().unwrap().iter();
        all.map(|one| one["uri"].as_str().unwrap().to_owned()).collect()
    };
    let none = inspector(&shed, &["--method", "resources/list"]);
    assert_eq!(uris(&none), ["atelier://tools"]);
    shed.ok(&["add", "speaker-one", "--yes"]);
    let listed = inspector(&shed, &["--method", "resources/list"]);
    assert_eq!(uris(&listed), ["atelier://tools", "atelier://tools/speaker-one"]);
    let read = |uri: &str| {
        let read = inspector(&shed, &["--method", "resources/read", "--uri", uri]);
        read["contents"][0]["text"].as_str().unwrap().to_owned()
    };
    let tools: Value = serde_json::from_str(&read("atelier://tools")).unwrap();
    assert_eq!(tools[0]["slug"], "speaker-one");
    assert_eq!(tools[0]["status"]["missing"], json!(["API_KEY"]), "{tools}");
    let about = read("atelier://tools/speaker-one");
    assert!(
        about.contains("setting `API_KEY`, required") && about.contains("Speak up."),
        "{about}"
    );
    let prompts = inspector(&shed, &["--method", "prompts/list"]);
    assert_eq!(prompts["prompts"][1]["name"], "mend_tool", "{prompts}");
    let get = ["--method", "prompts/get", "--prompt-name", "mend_tool", "--prompt-args"];
    let mend = inspector(&shed, &[&get[..], &["name=speaker-one"]].concat());
    let text = mend["messages"][0]["content"]["text"].as_str().unwrap();
    assert!(text.contains("API_KEY") && text.contains("atelier tool doctor"), "{text}");
}

#[test]
fn the_environments_are_read_where_all_of_atelier_is_served() {
    let shed = Shed::new();
    shed.init();
    shed.lab.ok(&["run", "fix", "--", "true"]);
    let mut command = Command::new(clients().join("node_modules/.bin/mcp-inspector"));
    command.current_dir(&shed.lab.project);
    let read = ["--method", "resources/read", "--uri", "atelier://environments"];
    let said = client(&shed, command, &["--cli"], &read);
    let text = said["contents"][0]["text"].as_str().unwrap();
    let all: Value = serde_json::from_str(text).unwrap();
    assert_eq!(all[0]["name"], "fix", "{text}");
}
