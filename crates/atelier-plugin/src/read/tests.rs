//! Plugins good and bad, as their authors write them.

use std::path::Path;

use super::*;
use crate::{Ask, Data, PluginError, ServiceKind, Transport};

fn parse(text: &str) -> Result<Plugin, PluginError> {
    Plugin::parse(text, Path::new("plugin.yaml"))
}

fn findings(text: &str) -> Vec<String> {
    parse(text).unwrap_err().findings().iter().map(ToString::to_string).collect()
}

#[test]
fn a_plugin_of_atk_is_read() {
    let plugin = parse(
        "schema_version: \"2026-01-23\"\nname: Piper TTS\ndescription: speaks\nservice: {}\n\
         env_vars: [{name: A_B, required: yes, secret: on, default: ''}]\n\
         lifecycle: {health_endpoint: 'http://localhost:1/h'}\n\
         mcp: {transport: stdio, command: npx, args: [-y, pkg], timeout: '900'}\nports: [{port: 8080}]\n",
    )
    .unwrap();
    assert_eq!(plugin.service.as_ref().unwrap().kind, ServiceKind::DockerCompose);
    let variable = plugin.variable("A_B").unwrap();
    assert!(variable.required && variable.secret);
    assert_eq!(variable.default.as_deref(), Some(""));
    let mcp = plugin.mcp.as_ref().unwrap();
    assert_eq!((mcp.transport, mcp.timeout), (Transport::Stdio, Some(900)));
    assert_eq!(plugin.health.unwrap().ask, Ask::Http("http://localhost:1/h".to_owned()));
    assert_eq!(plugin.ports[0].protocol, "http");
}

#[test]
fn every_mistake_is_found_with_its_place() {
    let found = findings(
        "schema_version: \"2026-01-23\"\nname: x\ndescriptoin: d\nports: [{port: 70000}]\n\
         mcp:\n  transport: stdio\n  endpoint: http://x\nlifecycle: {install: a}\n",
    );
    let expected = [
        "plugin.yaml:3:1: `descriptoin`: no such key",
        "plugin.yaml:1:1: `description`: is missing",
        "plugin.yaml:8:12: `lifecycle.uninstall`: is missing, though there is an `install`",
        "plugin.yaml:4:16: `ports[0].port`: must be a whole number from 1 to 65535",
        "plugin.yaml:6:3: `mcp.command`: is missing for this transport",
        "plugin.yaml:7:13: `mcp.endpoint`: is not for this transport",
    ];
    for line in expected {
        assert!(found.iter().any(|f| f == line), "{line}\nnot in {found:#?}");
    }
}

#[test]
fn what_yaml_takes_for_something_else_is_told() {
    let error = parse(
        "schema_version: '2026-01-23'\nname: n1\ndescription: d\nenv_vars: [{name: A, default: off}]\n",
    );
    let finding = error.unwrap_err().findings()[0].clone();
    assert_eq!((finding.line, finding.key.as_str()), (4, "env_vars[0].default"));
    assert!(finding.hint.unwrap().contains("quotes"));
}

#[test]
fn our_keys_want_our_schema() {
    let body = "name: n1\ndescription: d\ndata: [{path: data}, {volume: v}]\nrequires: [db-one]\n";
    let found = findings(&format!("schema_version: '2026-08-20'\n{body}"));
    assert!(found[0].contains("`data`: this key is of schema atelier/1"), "{found:?}");
    let plugin = parse(&format!("schema_version: atelier/1\n{body}")).unwrap();
    assert_eq!(plugin.data, [Data::Path("data".to_owned()), Data::Volume("v".to_owned())]);
}

#[test]
fn no_path_leads_out() {
    for path in ["../x", "/etc", "a/../../b", "~/../x", "~root/x/../.."] {
        let text = format!(
            "schema_version: atelier/1\nname: n1\ndescription: d\ndata: [{{path: '{path}'}}]\n"
        );
        assert!(findings(&text)[0].contains("leads out"), "{path}");
    }
}

#[test]
fn schemas_that_nobody_knows_are_refused() {
    assert!(findings("schema_version: \"1\"\nname: n1\ndescription: d\n")[0].contains("no known"));
    assert!(
        findings("schema_version: '2027-01-01'\nname: n1\ndescription: d\n")[0].contains("newer")
    );
    assert!(findings("name: n1\ndescription: d\n")[0].contains("`schema_version`: is missing"));
    assert!(findings("[]")[0].contains("must be a mapping"));
    assert!(findings("a: [\n")[0].starts_with("plugin.yaml:"));
    assert!(findings("")[0].contains("empty"));
}
