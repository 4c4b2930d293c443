//! Shared services: one instance for many environments.

use crate::support::{Lab, containers, wait_until};

const SHARED: &str = r#"
services:
  db:
    image: atelier-test:1
    command: ["sh", "-c", "[ -e /data/who ] || echo $$HOSTNAME > /data/who; exec nc -ll -p 5432 -e cat /data/who"]
    volumes: ["data:/data"]
    expose: ["5432"]
    stop_grace_period: 0s
    labels: {atelier.share: "true"}
  api:
    image: atelier-test:1
    command: httpd -f -p 3000 -h /site
    volumes: ["./site:/site"]
    depends_on: [db]
    expose: ["3000"]
    stop_grace_period: 0s
volumes: {data: {}}
"#;

const WHO: &str = "busybox nc db 5432 </dev/null";

#[test]
fn environments_use_one_instance_that_goes_when_the_last_has_gone() {
    let lab = Lab::with_services("shop", SHARED);
    let [one, two] = ["a1", "a2"].map(|env| lab.ok(&["run", env, "--", "sh", "-c", WHO]));
    assert_eq!(one, two, "it is one instance");
    let shown = lab.json(&["env", "status", "a1"]);
    let db = shown["services"].as_array().unwrap().iter().find(|s| s["name"] == "db").unwrap();
    assert_eq!((&db["shared"], &db["state"]), (&true.into(), &"running".into()));
    let home = containers("com.docker.compose.service=db");
    let name = db["containers"][0].as_str().unwrap();
    let there = || containers("dev.atelier.shared").iter().any(|c| c.to_string().contains(name));
    assert!(!home.is_empty() && there());
    lab.ok(&["env", "down", "a1"]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(there(), "the other one uses it");
    assert_eq!(lab.ok(&["run", "a2", "--", "sh", "-c", WHO]), two);
    lab.ok(&["env", "down", "a2"]);
    wait_until("nobody uses it, so it goes", || !there());
}

#[test]
fn who_wants_it_differently_is_told_who_uses_it() {
    let lab = Lab::with_services("shop", SHARED);
    lab.ok(&["run", "a1", "--", "true"]);
    lab.ok(&["env", "create", "a2"]);
    let change = "sed -i 's/5432/5433/g' compose.yaml";
    lab.ok(&["run", "--no-up", "a2", "--", "sh", "-c", change]);
    lab.run(&["env", "up", "a2"])
        .fails(4, &["db is wanted differently", "shop/a1", "--isolate db"]);
    lab.ok(&["env", "up", "a2", "--isolate", "db"]);
    assert_eq!(lab.run(&["run", "a1", "--", "sh", "-c", WHO]).code, 0);
    for env in ["a1", "a2"] {
        lab.ok(&["env", "rm", "--yes", env]);
    }
}

#[test]
fn one_that_nobody_uses_any_more_goes_at_the_next_start_at_the_latest() {
    let lab = Lab::with_services("shop", SHARED);
    lab.ok(&["run", "a1", "--", "true"]);
    let shown = lab.json(&["env", "status", "a1"]);
    let db = shown["services"].as_array().unwrap().iter().find(|s| s["name"] == "db").unwrap();
    let name = db["containers"][0].as_str().unwrap();
    let there = || containers("dev.atelier.shared").iter().any(|c| c.to_string().contains(name));
    lab.ok(&["env", "rm", "--yes", "a1"]);
    // It ends before the grace is over.
    lab.ok(&["stop"]);
    wait_until("it is gone", || {
        lab.ok(&["env", "ls"]);
        !there()
    });
}
