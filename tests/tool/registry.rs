//! The public registry as published (`../shared/data/atk-registry`), and packages pinned for real.

use std::fs;
use std::path::PathBuf;

use super::Shed;

/// A registry with every published plugin. Its scripts are not part of the published data: those that its
/// plugins name are there, and do nothing.
fn published() -> (Shed, Vec<String>) {
    let data =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/atk-registry/plugins");
    let shed = Shed::new();
    let mut names = Vec::new();
    for entry in fs::read_dir(&data).unwrap_or_else(|e| panic!("{}: {e}", data.display())) {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let plugin = fs::read_to_string(entry.path().join("plugin.yaml")).unwrap();
        let script = "#!/bin/sh\nexit 0\n";
        let files =
            [("plugin.yaml", plugin.as_str()), ("install.sh", script), ("uninstall.sh", script)];
        shed.publish(&name, &files);
        names.push(name);
    }
    names.sort();
    shed.init();
    (shed, names)
}

#[test]
fn all_twenty_plugins_are_added_and_can_be_shown() {
    let (shed, names) = published();
    assert_eq!(names.len(), 20);
    // These install images of the public registry as they are added, which no test reaches.
    let images = ["langfuse", "piper"];
    for name in &names {
        if images.contains(&name.as_str()) {
            let plan =
                shed.json(&["validate", &format!("{}/plugins/{name}", shed.registry.display())]);
            assert_eq!(plan["valid"], true, "{plan}");
            continue;
        }
        shed.ok(&["add", name, "--yes"]);
    }
    let rows = shed.json(&["ls"]);
    assert_eq!(rows.as_array().unwrap().len(), 18, "{rows}");
    for row in rows.as_array().unwrap() {
        assert!(row["problem"].is_null(), "{row}");
    }
    let pinned = |name: &str| {
        let shown = shed.json(&["show", name]);
        shown["packages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(pinned("notion"), ["@notionhq/notion-mcp-server"]);
    assert_eq!(pinned("google-workspace"), ["workspace-mcp"]);
}

/// With its package installed from the lock, a published server answers through what agents are given.
fn answers(name: &str, settings: &[&str], least: usize) {
    let (shed, _) = published();
    shed.ok(&["add", name, "--yes"]);
    for setting in settings {
        let done = shed
            .lab
            .with_input(&["tool", "setup", name, "--set", &format!("{setting}=-")], b"dummy-value");
        assert_eq!(done.code, 0, "{}", done.stderr);
    }
    let found = shed.json(&["mcp", name, "--check"]);
    let tools = found["server"]["tools"].as_array().unwrap().len();
    assert!(tools >= least, "{found}");
}

#[test]
fn notions_server_answers_with_its_package_pinned() {
    answers("notion", &["NOTION_TOKEN"], 20);
}

#[test]
fn slacks_server_answers_with_its_package_pinned() {
    answers("slack", &["SLACK_BOT_TOKEN", "SLACK_TEAM_ID"], 8);
}

#[test]
fn googles_server_answers_with_its_package_pinned() {
    answers("google-workspace", &["GOOGLE_OAUTH_CLIENT_ID", "GOOGLE_OAUTH_CLIENT_SECRET"], 100);
}
