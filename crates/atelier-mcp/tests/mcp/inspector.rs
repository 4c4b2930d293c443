//! MCP's own inspector with our server.

use std::process::Command;

use serde_json::Value;

use crate::support::{example, node, script, served};

const INSPECTOR: &str = "@modelcontextprotocol/inspector/cli/build/cli.js";

fn inspector(arguments: &[&str]) -> Value {
    let mut command = Command::new("timeout");
    command.args(["120", &node(), &script(INSPECTOR), "--cli"]).args(arguments);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn adds(server: &[&str]) {
    let with = |more: &[&str]| inspector(&[server, more].concat());
    let listed = with(&["--method", "tools/list"]);
    assert_eq!(listed["tools"][0]["name"], "add", "{listed}");
    assert_eq!(listed["tools"][0]["title"], "Addition");
    assert_eq!(listed["tools"][0]["annotations"]["readOnlyHint"], true);
    let call = ["--method", "tools/call", "--tool-name", "add", "--tool-arg", "a=40", "b=2"];
    let called = with(&call);
    assert_eq!(called["structuredContent"]["sum"], 42, "{called}");
}

#[test]
fn it_calls_our_tools_on_standard_input_and_output() {
    adds(&[&example("served")]);
}

#[test]
fn it_calls_our_tools_over_http() {
    let (_server, url) = served(&[]);
    adds(&[&url, "--transport", "http"]);
}
