//! What a command inside writes into the Compose files gives it no power over this machine.

use super::SHOP;
use crate::support::Lab;

/// Changes the environment's file as an agent could, and starts it.
fn change(lab: &Lab, script: &str) {
    lab.ok(&["run", "--no-up", "a1", "--", "sh", "-c", script]);
}

#[test]
fn an_environments_files_may_not_ask_more_than_the_projects_own() {
    let lab = Lab::with_services("shop", SHOP);
    lab.ok(&["env", "create", "a1"]);
    for (more, says) in [
        ("s,./site:/site,/etc:/site,", "the path /etc"),
        ("s,depends_on: .db.,privileged: true,", "privileged"),
        ("s,depends_on: .db.,pid: host,", "pid host"),
    ] {
        change(&lab, &format!("cp compose.yaml kept; sed -i '{more}' compose.yaml"));
        lab.run(&["env", "up", "a1"]).fails(10, &["more of this machine", "api", says, "--trust"]);
        lab.run(&["run", "a1", "--", "true"]).fails(10, &["--no-up"]);
        change(&lab, "mv kept compose.yaml");
    }
    change(&lab, "rm -r site; ln -s /etc site");
    lab.run(&["env", "up", "a1"]).fails(10, &["the path /etc"]);
    change(&lab, "rm site; mkdir site; echo changed > site/index.html");
    lab.ok(&["env", "up", "a1"]);
    // Once only: what is written later is looked at again.
    change(&lab, "sed -i 's,depends_on: .db.,pid: host,' compose.yaml");
    lab.ok(&["env", "up", "--trust", "a1"]);
    lab.run(&["env", "up", "a1"]).fails(10, &["pid host"]);
}

#[test]
fn what_the_project_itself_asks_for_is_the_users_wish() {
    let file = SHOP.replace("./site:/site", "/etc/hostname:/site/index.html:ro");
    let lab = Lab::with_services("shop", &file);
    let script = "until busybox wget -q -O - http://api:3000/; do sleep 0.1; done";
    let said = lab.ok(&["run", "a1", "--", "sh", "-c", script]);
    assert_eq!(said, std::fs::read_to_string("/etc/hostname").unwrap());
}
