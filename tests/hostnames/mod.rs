//! Further names of services. Nothing here needs an engine: no service is up.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::Lab;

const COMPOSE: &str = "services:\n  api:\n    image: none:1\n  db:\n    image: none:1\n";

/// Reads the Compose file as Compose would, where Compose is not installed.
const READER: &str = r#"#!/bin/sh
case "$*" in
*version*) echo 5.0.0 ;;
*) echo '{"name":"shop","services":{"api":{"image":"none:1"},"db":{"image":"none:1"}}}' ;;
esac
"#;

/// A project with two services and two environments.
fn lab() -> Lab {
    let lab = Lab::new();
    let reader = lab.user_home().join("docker-compose");
    fs::write(&reader, READER).unwrap();
    fs::set_permissions(&reader, fs::Permissions::from_mode(0o755)).unwrap();
    let mut serve = lab.command(&["serve", "--background"]);
    assert!(serve.env("ATELIER_COMPOSE", &reader).status().unwrap().success());
    lab.write("compose.yaml", COMPOSE);
    lab.ok(&["env", "create", "e1"]);
    lab.ok(&["env", "create", "e2"]);
    lab
}

#[test]
fn a_name_is_kept_with_its_environment() {
    let lab = lab();
    let added = lab.ok(&["hostnames", "add", "e1", "api", "Admin"]);
    assert_eq!(added, "admin.e1.test leads to api when it is up\n");
    lab.ok(&["hostnames", "add", "e1", "db", "store.test."]);
    // The same again is no mistake.
    lab.ok(&["hostnames", "add", "e1", "api", "admin"]);
    lab.ok(&["stop"]);
    let list = lab.json(&["hostnames", "ls", "e1"]);
    let names: Vec<_> = list.as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["admin.e1.test", "store.test"]);
    assert_eq!((&list[0]["source"], &list[0]["up"]), (&"added".into(), &false.into()));
    assert_eq!(lab.json(&["hostnames", "ls", "e2"]), serde_json::json!([]));
    lab.ok(&["hostnames", "rm", "e1", "admin"]);
    assert_eq!(lab.json(&["hostnames", "ls", "e1"]).as_array().unwrap().len(), 1);
    lab.run(&["hostnames", "rm", "e1", "admin"]).fails(3, &["admin.e1.test", "hostnames ls e1"]);
}

#[test]
fn a_name_has_one_owner() {
    let lab = lab();
    lab.ok(&["hostnames", "add", "e1", "api", "www.test"]);
    lab.run(&["hostnames", "add", "e2", "api", "www.test"]).fails(4, &["environment shop/e1"]);
    lab.run(&["hostnames", "add", "e1", "db", "www.test"]).fails(4, &["the service api"]);
    lab.ok(&["hostnames", "rm", "e1", "www.test"]);
    lab.ok(&["hostnames", "add", "e2", "api", "www.test"]);
    lab.ok(&["env", "rm", "--yes", "e2"]);
    lab.ok(&["hostnames", "add", "e1", "api", "www.test"]);
}

#[test]
fn what_can_not_be_a_name_says_what_would() {
    let lab = lab();
    let add = |service: &str, name: &str| lab.run(&["hostnames", "add", "e1", service, name]);
    add("api", "www.example.org").fails(5, &["does not end with .test", "www.example.org.test"]);
    add("api", "two words").fails(5, &["is no host name", "letters, digits and hyphens"]);
    add("api", "atelier-probe.test").fails(4, &["Atelier's own"]);
    add("web", "www").fails(3, &["shop/e1 has no service web", "api, db"]);
    lab.run(&["hostnames", "add", "e9", "api", "www"]).fails(3, &["e9", "e1"]);
    assert_eq!(lab.json(&["hostnames", "ls", "e1"]), serde_json::json!([]));
}
