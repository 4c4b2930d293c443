//! What is wrong with a project, its services or its engine is said, with what to do.

use super::SHOP;
use crate::support::{Lab, containers};

#[test]
fn a_compose_file_that_is_wrong_is_named_with_its_line() {
    let lab =
        Lab::with_services("shop", "services:\n  a:\n    image: atelier-test:1\n    prots: [80]\n");
    lab.ok(&["env", "create", "a1"]);
    lab.run(&["env", "up", "a1"]).fails(5, &["prots"]);
    lab.run(&["run", "a1", "--", "true"]).fails(5, &["prots"]);
}

#[test]
fn a_service_that_never_gets_healthy_is_named_with_its_last_lines() {
    let file = "services:\n  sick:\n    image: atelier-test:1\n    command: sh -c 'echo I feel bad; exec sleep 1000'\n    \
        stop_grace_period: 0s\n    healthcheck: {test: [CMD, 'false'], interval: 200ms, retries: 2}\n";
    let lab = Lab::with_services("shop", file);
    lab.ok(&["env", "create", "a1"]);
    let done = lab.run(&["env", "up", "a1", "--timeout", "3"]);
    done.fails(6, &["the service sick is not healthy after 3 s", "I feel bad"]);
    // What was never whole is taken back.
    let id = lab.json(&["env", "show", "a1"])["id"].as_str().unwrap().to_owned();
    assert!(containers(&format!("dev.atelier.environment={id}")).is_empty());
}

#[test]
fn a_service_that_ends_at_once_is_named_with_its_code() {
    let file =
        "services:\n  bad: {image: 'atelier-test:1', command: sh -c 'echo no config; exit 7'}\n";
    let lab = Lab::with_services("shop", file);
    lab.ok(&["env", "create", "a1"]);
    // On a busy machine it may still run when it is looked at, as with `docker compose up --detach`; then the
    // next `up` starts it again.
    let mut ups = std::iter::repeat_with(|| lab.run(&["env", "up", "a1"])).take(10);
    let told = ups.find(|up| up.code != 0).expect("it was never seen to end");
    told.fails(6, &["the service bad ended with code 7", "no config"]);
}

#[test]
fn an_engine_that_does_not_answer_is_named() {
    let mut lab = Lab::with_services("shop", SHOP);
    lab.set("ATELIER_ENGINE", "unix:///nowhere/docker.sock");
    lab.ok(&["env", "create", "a1"]);
    lab.run(&["env", "up", "a1"]).fails(6, &["unix:///nowhere/docker.sock", "start it"]);
    // Commands that need no services work all the same.
    assert_eq!(lab.ok(&["run", "--no-up", "a1", "--", "echo", "here"]), "here\n");
}

#[test]
fn a_project_without_services_says_so() {
    let lab = Lab::new();
    lab.ok(&["env", "create", "a1"]);
    lab.run(&["env", "up", "a1"]).fails(4, &["had no services"]);
    assert!(lab.json(&["env", "status", "a1"])["services"].as_array().unwrap().is_empty());
}
