//! `atelier env up`, `down`, `restart`, `status`, `logs`, and `run` with services.

use serde_json::Value;

use super::SHOP;
use crate::support::{Lab, containers};

fn service<'a>(status: &'a Value, name: &str) -> &'a Value {
    let all = status["services"].as_array().unwrap();
    all.iter().find(|service| service["name"] == name).unwrap()
}

fn id(lab: &Lab, env: &str) -> String {
    lab.json(&["env", "show", env])["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_command_finds_the_services_by_name_and_sees_no_ports_of_this_machine_taken() {
    let lab = Lab::with_services("shop", SHOP);
    let script = "busybox wget -q -O - http://api:3000/; busybox nc db 5432 </dev/null";
    let said = lab.ok(&["run", "a1", "--", "sh", "-c", script]);
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some("hello"));
    let who = lines.next().unwrap().to_owned();
    let label = format!("dev.atelier.environment={}", id(&lab, "a1"));
    let all = containers(&label);
    assert_eq!(all.len(), 2);
    for container in &all {
        let published = container["Ports"].as_array().unwrap();
        assert!(published.iter().all(|port| port["PublicPort"].is_null()), "{container}");
    }
    // The second environment of the same project has its own, with the same ports.
    let other = lab.ok(&["run", "a2", "--", "sh", "-c", script]);
    assert!(other.starts_with("hello\n") && !other.contains(&who), "{other} is not {who}");
}

#[test]
fn what_a_command_writes_is_what_the_service_serves_and_the_project_stays_as_it_is() {
    let lab = Lab::with_services("shop", SHOP);
    let script = "echo changed > site/index.html; busybox wget -q -O - http://api:3000/";
    assert_eq!(lab.ok(&["run", "a1", "--", "sh", "-c", script]), "changed\n");
    assert_eq!(lab.read("site/index.html"), "hello\n");
    assert!(lab.git(&["status", "--porcelain"]).is_empty());
}

#[test]
fn down_keeps_the_data_and_up_finds_it_again() {
    let lab = Lab::with_services("shop", SHOP);
    lab.ok(&["env", "create", "a1"]);
    let up = lab.json(&["env", "up", "a1"]);
    assert_eq!(service(&up, "db")["state"], "running");
    assert_eq!(service(&up, "api")["state"], "running");
    let who = lab.ok(&["run", "a1", "--", "busybox", "nc", "db", "5432"]);
    let label = format!("dev.atelier.environment={}", id(&lab, "a1"));
    let down = lab.json(&["env", "down", "a1"]);
    assert_eq!(service(&down, "db")["state"], "down");
    assert!(containers(&label).is_empty());
    lab.ok(&["env", "up", "a1"]);
    assert_eq!(lab.ok(&["run", "a1", "--", "busybox", "nc", "db", "5432"]), who);
    lab.ok(&["env", "down", "--volumes", "a1"]);
    lab.ok(&["env", "up", "a1"]);
    assert_ne!(lab.ok(&["run", "a1", "--", "busybox", "nc", "db", "5432"]), who);
}

#[test]
fn up_twice_is_once_and_follows_the_files() {
    let lab = Lab::with_services("shop", SHOP);
    lab.ok(&["env", "create", "a1"]);
    lab.ok(&["env", "up", "a1"]);
    let label = format!("dev.atelier.environment={}", id(&lab, "a1"));
    let ids = |all: Vec<Value>| {
        let mut ids: Vec<String> = all.iter().map(|c| c["Id"].to_string()).collect();
        ids.sort();
        ids
    };
    let before = ids(containers(&label));
    lab.ok(&["env", "up", "a1"]);
    assert_eq!(ids(containers(&label)), before, "nothing changed, so nothing is made anew");
    // The environment's own file changes: one service more, one less.
    let script =
        "sed -i 's/^  db:/  store:/; s/depends_on: .db./depends_on: [store]/' compose.yaml";
    lab.ok(&["run", "--no-up", "a1", "--", "sh", "-c", script]);
    let up = lab.json(&["env", "up", "a1"]);
    let names: Vec<&str> =
        up["services"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["api", "store"]);
    assert_eq!(containers(&label).len(), 2);
}

#[test]
fn logs_and_restart_take_services_by_name() {
    let lab = Lab::with_services(
        "shop",
        "services:\n  a: {image: 'atelier-test:1', command: sh -c 'echo begun; exec sleep 1000', stop_grace_period: 0s}\n",
    );
    lab.ok(&["env", "create", "a1"]);
    lab.ok(&["env", "up", "a1"]);
    let logs = lab.ok(&["env", "logs", "a1", "-s", "a"]);
    assert_eq!(logs.matches("begun").count(), 1, "{logs}");
    lab.ok(&["env", "restart", "a1", "a"]);
    let logs = lab.ok(&["env", "logs", "a1", "--services"]);
    assert_eq!(logs.matches("begun").count(), 2, "{logs}");
    lab.run(&["env", "logs", "a1", "-s", "b"]).fails(3, &["there is no service b", "there are: a"]);
}

#[test]
fn an_image_is_built_from_the_environments_own_files_and_goes_with_it() {
    let file = "services:\n  app:\n    build: .\n    image: mine/app\n    command: httpd -f -p 80 -h /site\n    \
        expose: ['80']\n    stop_grace_period: 0s\n    secrets: [token]\nsecrets: {token: {file: ./token.txt}}\n";
    let lab = Lab::with_services("shop", file);
    lab.write("Dockerfile", "FROM atelier-test:1\nCOPY site /site\n");
    lab.write("token.txt", "s3cret\n");
    lab.ok(&["env", "create", "a1"]);
    lab.ok(&["run", "--no-up", "a1", "--", "sh", "-c", "echo built > site/index.html"]);
    let reach = "busybox wget -q -O - http://app/";
    assert_eq!(lab.ok(&["run", "a1", "--", "sh", "-c", reach]), "built\n");
    let images = || crate::support::ask_engine("/images/json").to_string();
    let own = format!("dev.atelier.environment\":\"{}", id(&lab, "a1"));
    assert!(images().contains(&own));
    lab.ok(&["env", "rm", "--yes", "a1"]);
    assert!(!images().contains(&own));
}

#[test]
fn a_removed_environment_leaves_nothing_in_the_engine() {
    let lab = Lab::with_services("shop", SHOP);
    lab.ok(&["run", "a1", "--", "true"]);
    let label = format!("dev.atelier.environment={}", id(&lab, "a1"));
    lab.ok(&["env", "rm", "--yes", "a1"]);
    assert!(containers(&label).is_empty());
    let home = crate::support::ask_engine("/networks");
    let left = |all: &Value| all.to_string().contains(label.split('=').nth(1).unwrap());
    assert!(!left(&home), "{home}");
    let volumes = crate::support::ask_engine("/volumes");
    assert!(!left(&volumes), "{volumes}");
}
