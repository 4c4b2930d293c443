//! A tool's life, as a person lives it: found, added, set up, wired, used, upgraded, removed, and
//! brought to a second machine.

use std::fs;

use super::{SPEAKER, Shed, all_text_below};

/// What a user has in an agent's file already.
const MINE: &str = "{\n  \"mine\": 1\n}\n";
const SECRET: &str = "s3cr3t-'\"${X} and\nmore";

fn speaker() -> Shed {
    let shed = Shed::new();
    shed.publish("speaker-one", &SPEAKER);
    shed.init();
    shed.ok(&["add", "speaker-one", "--yes"]);
    shed
}

fn set_up(shed: &Shed) {
    let done = shed
        .lab
        .with_input(&["tool", "setup", "speaker-one", "--set", "API_KEY=-"], SECRET.as_bytes());
    assert_eq!(done.code, 0, "{}", done.stderr);
}

#[test]
fn a_tool_is_found_added_set_up_wired_used_and_removed() {
    let shed = speaker();
    assert!(shed.ok(&["search", "speaker"]).contains("of speaker-one"));
    shed.fails(&["exec", "speaker-one"], 8, &["API_KEY", "tool setup"]);
    set_up(&shed);
    for agent in [".claude", ".codex"] {
        fs::create_dir_all(shed.lab.user_home().join(agent)).unwrap();
    }
    fs::write(shed.lab.user_home().join(".claude.json"), MINE).unwrap();
    let wired = shed.json(&["plug", "speaker-one", "--claude", "--codex"]);
    assert_eq!(wired.as_array().unwrap().len(), 2, "{wired}");
    let again = shed.json(&["plug", "speaker-one", "--claude", "--codex"]);
    assert_eq!(again[0]["server"]["outcome"], "unchanged", "{again}");
    let skill = shed.lab.user_home().join(".claude/skills/speaker-one/SKILL.md");
    assert!(
        fs::read_to_string(&skill).unwrap().starts_with("---\n"),
        "agents find it by its frontmatter"
    );
    let found = shed.json(&["mcp", "speaker-one", "--check"]);
    assert_eq!(found["server"]["tools"][0]["name"], "whoami", "{found}");
    shed.ok(&["remove", "speaker-one", "--yes"]);
    assert!(!skill.exists());
    assert_eq!(fs::read_to_string(shed.lab.user_home().join(".claude.json")).unwrap(), MINE);
    let wanted = ["tool remove speaker-one", "tool setup speaker-one"];
    assert_eq!(&shed.commits()[..2], wanted);
}

#[test]
fn no_file_and_no_argument_holds_a_secret() {
    let shed = speaker();
    set_up(&shed);
    fs::create_dir_all(shed.lab.user_home().join(".claude")).unwrap();
    shed.ok(&["plug", "speaker-one", "--claude"]);
    shed.fails(&["setup", "speaker-one", "--set", "API_KEY=open"], 2, &["API_KEY", "command line"]);
    let shown =
        shed.ok(&["show", "speaker-one"]) + &shed.json(&["show", "speaker-one"]).to_string();
    let everything =
        all_text_below(&shed.lab.user_home()) + &all_text_below(&shed.lab.home()) + &shown;
    assert!(!everything.contains("s3cr3t"), "a secret lies about");
}

#[test]
fn an_upgrade_keeps_what_the_tool_wrote_and_a_broken_one_changes_nothing() {
    let shed = speaker();
    let folder = shed.tools().join("plugins/speaker-one");
    fs::create_dir(folder.join("data")).unwrap();
    fs::write(folder.join("data/db.sqlite"), "mine").unwrap();
    let newer = SPEAKER[1].1.replace("\"version\": \"1\"", "\"version\": \"2\"");
    shed.publish("speaker-one", &[("server.py", &newer)]);
    assert!(shed.ok(&["outdated"]).contains("speaker-one"));
    shed.ok(&["upgrade", "speaker-one", "--yes"]);
    assert!(fs::read_to_string(folder.join("server.py")).unwrap().contains("\"version\": \"2\""));
    assert_eq!(fs::read_to_string(folder.join("data/db.sqlite")).unwrap(), "mine");
    shed.publish("speaker-one", &[("plugin.yaml", "schema_version: '2026-08-20'\nname: [\n")]);
    let before = shed.commits();
    shed.fails(&["upgrade", "speaker-one", "--yes"], 5, &["plugin.yaml"]);
    assert_eq!(shed.commits(), before);
    assert!(shed.ok(&["ls"]).contains("says who it is"));
}

#[test]
fn a_second_machine_has_the_same_from_a_clone() {
    let shed = speaker();
    set_up(&shed);
    let other = shed.lab.user_home().join("other");
    let home = other.to_str().unwrap();
    let at_other = |args: &[&str]| {
        let mut command = shed.lab.command(args);
        crate::support::Done::of(command.env("ATELIER_HOME", home).output().unwrap())
    };
    let url = format!("file://{}", shed.tools().display());
    assert_eq!(at_other(&["tool", "init", "--from", &url]).code, 0);
    let done = at_other(&["tool", "install", "--all", "--frozen"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let file = "plugins/speaker-one/server.py";
    assert_eq!(
        fs::read(other.join("tools").join(file)).unwrap(),
        fs::read(shed.tools().join(file)).unwrap()
    );
    // The secrets came sealed, for a key that is not here.
    at_other(&["tool", "exec", "speaker-one"]).fails(8, &["API_KEY"]);
    let key = at_other(&["tool", "recipient", "ls", "--json"]).stdout;
    let key: serde_json::Value = serde_json::from_str(&key).unwrap();
    shed.ok(&["recipient", "add", key[0]["key"].as_str().unwrap()]);
    at_other(&["tool", "sync", "pull"]);
    let said = at_other(&["tool", "mcp", "speaker-one", "--check"]);
    assert!(said.stdout.contains("whoami"), "{}{}", said.stdout, said.stderr);
    fs::write(other.join("tools").join(file), "other").unwrap();
    at_other(&["tool", "install", "--all", "--frozen"]).fails(5, &["server.py"]);
}

#[test]
fn a_server_is_wired_for_the_project_without_a_place_of_this_machine() {
    let shed = speaker();
    shed.ok(&["plug", "speaker-one", "--claude", "--project"]);
    let file = fs::read_to_string(shed.lab.project.join(".mcp.json")).unwrap();
    let entry: serde_json::Value = serde_json::from_str(&file).unwrap();
    assert_eq!(entry["mcpServers"]["speaker-one"]["command"], "atelier");
    shed.ok(&["unplug", "speaker-one", "--claude", "--project"]);
    assert!(!shed.lab.project.join(".mcp.json").exists());
}

#[test]
fn bad_names_and_bad_files_end_with_what_is_wrong() {
    let shed = speaker();
    shed.fails(&["remove", "../../user", "--yes"], 2, &["no name of a tool"]);
    shed.fails(&["add", "nobody-has-it", "--yes"], 3, &["nobody-has-it"]);
    shed.fails(&["add", "./nothing-here", "--yes"], 3, &["nothing-here"]);
    shed.lab.write(
        "bad/plugin.yaml",
        "schema_version: '2026-08-20'\nname: Bad\nports: [{port: 0}]\nx: 1\n",
    );
    let found = shed.lab.run(&["tool", "validate", "bad"]);
    assert_eq!(found.code, 5);
    for line in ["plugin.yaml:3:", "plugin.yaml:4:1", "`description`"] {
        assert!(found.stdout.contains(line), "{line} in {}", found.stdout);
    }
    let home = fs::read_to_string(shed.tools().join("tools.yaml")).unwrap();
    fs::write(shed.tools().join("tools.yaml"), home + "tools: [\n").unwrap();
    shed.fails(&["ls"], 5, &["tools.yaml"]);
}

#[test]
fn without_a_home_and_without_an_agent_one_is_told_what_to_do() {
    let shed = Shed::new();
    shed.fails(&["ls"], 8, &["no home of tools", "atelier tool init"]);
    shed.fails(&["add", "notion", "--yes"], 8, &["atelier tool init"]);
    let shed = speaker();
    let mut plug = shed.lab.command(&["tool", "plug", "speaker-one"]);
    // No agent's program is there, and this user has no agent's folder.
    let done = crate::support::Done::of(plug.env("PATH", "/nonexistent").output().unwrap());
    done.fails(8, &["none of these agents", "--claude"]);
}

#[test]
fn a_profile_decides_what_agents_have() {
    let shed = speaker();
    shed.publish("other", &[("plugin.yaml", "schema_version: '2026-08-20'\nname: other\ndescription: d\nmaturity: verified\nmcp: {transport: stdio, command: cat}\n")]);
    shed.ok(&["add", "other", "--yes"]);
    fs::create_dir_all(shed.lab.user_home().join(".claude")).unwrap();
    shed.ok(&["plug", "other", "speaker-one", "--claude"]);
    shed.ok(&["profile", "create", "talk", "speaker-one"]);
    shed.ok(&["profile", "use", "talk"]);
    let file = || fs::read_to_string(shed.lab.user_home().join(".claude.json")).unwrap();
    assert!(file().contains("speaker-one") && !file().contains("other"), "{}", file());
    shed.ok(&["profile", "use"]);
    assert!(file().contains("speaker-one") && file().contains("other"), "{}", file());
}

#[test]
fn first_steps_that_go_wrong_say_what_to_do_instead() {
    let shed = Shed::new();
    for verb in [&["upgrade", "--all"][..], &["ls"], &["install", "--all"], &["search", "x"]] {
        shed.fails(verb, 8, &["no home of tools", "atelier tool init"]);
    }
    for verb in ["upgrade", "install", "start", "setup", "backup"] {
        shed.fails(&[verb], 2, &["--all"]);
    }
    shed.publish("speaker-one", &SPEAKER);
    shed.init();
    shed.ok(&["add", "speaker-one", "--yes"]);
    shed.fails(&["add", "speaker-one", "--yes"], 4, &["atelier tool upgrade speaker-one"]);
    let set = shed.json(&["setup", "speaker-one", "--set", "API_KEY_ID=two"]);
    assert_eq!(
        (&set[0]["slug"], &set[0]["missing"][0]),
        (&"speaker-one".into(), &"API_KEY".into())
    );
    assert!(shed.ok(&["start", "speaker-one"]).contains("has no service"));
    assert_eq!(shed.json(&["outdated", "speaker-one"]), serde_json::json!([]));
    shed.fails(&["outdated", "other-one"], 3, &["other-one"]);
    let url = format!("file://{}", shed.registry.display());
    shed.fails(&["registry", "add", "Bad Name", &url], 2, &["no name of a registry"]);
    shed.fails(&["registry", "remove", "x"], 3, &["no registry `x`", "default"]);
}

#[test]
fn a_tool_is_taken_out_of_an_agent_that_is_not_on_this_machine() {
    let shed = speaker();
    shed.ok(&["plug", "speaker-one", "--zed"]);
    assert!(shed.ok(&["unplug", "speaker-one"]).contains("speaker-one in zed: server removed"));
    assert!(shed.ok(&["unplug", "speaker-one"]).contains("as it was"), "nothing is left to do");
}

#[test]
fn nobody_is_asked_about_a_backup_that_is_not_there() {
    let shed = Shed::new();
    let plugin = "schema_version: atelier/1\nname: Notes\ndescription: x\ndata: [{path: data}]\n";
    shed.publish("notes", &[("plugin.yaml", plugin)]);
    shed.init();
    shed.ok(&["add", "notes", "--yes"]);
    shed.fails(&["restore", "notes"], 3, &["notes", "backup"]);
}
