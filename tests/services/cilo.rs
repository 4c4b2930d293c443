//! Cilo's defects (the numbers are those of their list) that show only in whole environments. Where the
//! others have their tests:
//!
//! | defect | test |
//! |---|---|
//! | 1, 2, 5, 6, 7, 10: published ports, names without a scope, bare host names, other Compose files, `container_name` and networks, shared definitions | `atelier-compose/tests/defects.rs` |
//! | 2: two projects with the same names | `together::two_projects_with_the_same_names_are_in_nobodys_way` |
//! | 3: a second `up`; a reboot | `life::up_twice_is_once_and_follows_the_files`, `days::after_a_reboot_…` |
//! | 4: names at the first `up`, gone after the last; the server's port; a changed address | `names`, `tests/dns`, `atelier-dns/tests` |
//! | 9: subnets by the thousand, given back | `atelier-run/src/services/subnets.rs`, and here |
//! | 10: shared services that are counted, ended, told apart | `shared` |
//! | 11: repair under load and of several networks | `repair`, `days` |

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::SHOP;
use crate::support::Lab;

const HEALTHY_DATABASE: &str = r#"
services:
  db:
    image: atelier-test:1
    command: ["sh", "-c", "sleep 2; date +%s > /site/ready; touch /ready; exec sleep 1000"]
    volumes: ["./site:/site"]
    healthcheck: {test: ["CMD", "test", "-e", "/ready"], interval: 100ms, retries: 100}
    stop_grace_period: 0s
    labels: {cilo.share: "true"}
  web:
    image: atelier-test:1
    command: ["sh", "-c", "date +%s > /site/started; exec httpd -f -p 3000 -h /site"]
    volumes: ["./site:/site"]
    depends_on: {db: {condition: service_healthy}}
    expose: ["3000"]
    stop_grace_period: 0s
    labels: {cilo.ingress: "true", cilo.hostnames: "shop,www"}
"#;

#[test]
fn defect_4_names_are_there_at_the_first_up_and_gone_with_the_environment() {
    let lab = Lab::with_services("shop", SHOP);
    let names = |env: &str| {
        let status = lab.run(&["env", "status", env, "--json"]);
        status.stdout.contains("\"api.a1.test\"")
    };
    lab.ok(&["env", "create", "a1"]);
    lab.ok(&["env", "up", "a1"]);
    assert!(names("a1"));
    lab.ok(&["env", "rm", "--yes", "a1"]);
    // It says by its code that this machine's resolver is not set up.
    let status = lab.run(&["dns", "status", "--json"]);
    let info: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(info["names"], 0, "{info}");
}

#[test]
fn defect_8_a_copy_keeps_modes_links_times_and_hidden_folders() {
    let lab = Lab::with_services("shop", SHOP);
    lab.write("bin/tool", "#!/bin/sh\necho ran\n");
    let tool = lab.project.join("bin/tool");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    symlink("bin", lab.project.join("programs")).unwrap();
    symlink("bin/tool", lab.project.join("run")).unwrap();
    lab.write(".github/workflows/ci.yml", "on: push\n");
    let mut touch = std::process::Command::new("touch");
    touch.args(["-d", "2020-02-02"]).arg(&tool);
    assert!(touch.status().unwrap().success());
    let script = "./run; programs/tool; readlink programs run; stat -c '%a %Y' bin/tool; \
                  cat .github/workflows/ci.yml; git status --porcelain | head -1";
    let said = lab.ok(&["run", "a1", "--", "sh", "-c", script]);
    let time = fs::metadata(&tool).unwrap().mtime();
    let wanted = format!("ran\nran\nbin\nbin/tool\n755 {time}\non: push\n?? .github/\n");
    assert_eq!(said, wanted);
}

#[test]
fn defect_8_a_linked_work_tree_has_an_index_of_its_own() {
    let lab = Lab::with_services("shop", SHOP);
    lab.git(&["worktree", "add", "-q", "../linked"]);
    let linked = lab.project.parent().unwrap().join("linked");
    let mut run = lab.command(&[
        "run",
        "--no-up",
        "a1",
        "--",
        "sh",
        "-c",
        "echo x > new; git add new; git status --short",
    ]);
    let inside = run.current_dir(&linked).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&inside.stdout), "A  new\n");
    assert!(lab.git(&["-C", linked.to_str().unwrap(), "status", "--short"]).is_empty());
    let mut rm = lab.command(&["env", "rm", "--yes", "--force", "a1"]);
    assert!(rm.current_dir(&linked).status().unwrap().success());
}

#[test]
fn defect_9_a_subnet_that_was_given_back_is_used_again() {
    let lab = Lab::with_services("shop", SHOP);
    let subnet = || {
        lab.ok(&["env", "create", "a1"]);
        lab.ok(&["env", "up", "a1"]);
        let subnet = lab.json(&["env", "status", "a1"])["subnets"][0].to_string();
        lab.ok(&["env", "rm", "--yes", "a1"]);
        subnet
    };
    assert_eq!(subnet(), subnet());
}

#[test]
fn defect_10_whoever_needs_a_healthy_shared_service_waits_for_it() {
    let lab = Lab::with_services("shop", HEALTHY_DATABASE);
    let started: u64 = lab.ok(&["run", "a1", "--", "cat", "site/started"]).trim().parse().unwrap();
    // A shared service has the project's own files.
    let ready: u64 = lab.read("site/ready").trim().parse().unwrap();
    assert!(started >= ready, "it began {} s before", ready - started);
    // Cilo's labels say who answers for the environment, and under which further names.
    let status = lab.json(&["env", "status", "a1"]);
    let text = status.to_string();
    assert!(text.contains("\"shop.a1.test\"") && text.contains("\"www.a1.test\""), "{text}");
}

#[test]
fn defect_12_json_is_json_and_words_of_a_command_are_no_names_of_environments() {
    let lab = Lab::with_services("shop", SHOP);
    lab.ok(&["env", "create", "a1"]);
    assert_eq!(lab.json(&["env", "ls"])[0]["name"], "a1");
    assert!(lab.json(&["config"]).is_array() || lab.json(&["config"]).is_object());
    let said = lab.ok(&["run", "--no-up", "a1", "--", "sh", "-c", "echo $0 $1", "test", "--flag"]);
    assert_eq!(said, "test --flag\n");
    assert_eq!(lab.json(&["env", "ls"]).as_array().unwrap().len(), 1);
}
