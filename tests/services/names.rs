//! Names of services: from this machine through the ingress and the name server, and inside.

use std::process::Command;

use super::SHOP;
use crate::support::Lab;

fn curl(args: &[&str]) -> String {
    let output =
        Command::new("curl").args(["-sS", "--max-time", "20"]).args(args).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_url_that_env_url_gives_works_and_so_do_names_inside() {
    let lab = Lab::with_services("shop", SHOP);
    let script =
        "busybox wget -q -O - http://api.a1.test/; busybox wget -q -O - http://shop.a1.test/";
    assert_eq!(lab.ok(&["run", "a1", "--", "sh", "-c", script]), "hello\nhello\n");
    let url = lab.ok(&["env", "url", "a1", "api"]);
    let (host, port) = url.trim().trim_start_matches("http://").split_once(':').unwrap();
    let resolve = format!("{host}:{port}:127.0.0.1");
    assert_eq!(curl(&["--resolve", &resolve, url.trim()]), "hello\n");
    let db = lab.json(&["env", "url", "a1", "db", "5432"]);
    assert!(db["url"].as_str().unwrap().ends_with(":5432"), "{db}");
    lab.run(&["env", "url", "a1", "db"]).fails(3, &["no port that speaks HTTP", "5432"]);
    lab.run(&["env", "url", "a1", "cache"]).fails(3, &["no service cache", "api, db"]);
}

#[test]
fn a_name_of_something_that_went_down_leads_nowhere() {
    let lab = Lab::with_services("shop", SHOP);
    lab.ok(&["env", "create", "a1"]);
    lab.ok(&["env", "up", "a1"]);
    let url = lab.ok(&["env", "url", "a1", "api"]);
    let (host, port) = url.trim().trim_start_matches("http://").split_once(':').unwrap();
    let resolve = format!("{host}:{port}:127.0.0.1");
    lab.ok(&["env", "down", "a1"]);
    let status =
        curl(&["--resolve", &resolve, "-o", "/dev/null", "-w", "%{http_code}", url.trim()]);
    assert_eq!(status, "404");
    let hosts = lab.ok(&["run", "--no-up", "a1", "--", "cat", "/etc/hosts"]);
    assert!(!hosts.contains("api.a1.test"), "{hosts}");
}

#[test]
fn environments_do_not_reach_each_other() {
    let lab = Lab::with_services("shop", SHOP);
    lab.ok(&["run", "a1", "--", "true"]);
    let status = lab.json(&["env", "status", "a1"]);
    let db = status["services"].as_array().unwrap().iter().find(|s| s["name"] == "db").unwrap();
    let address = db["addresses"][0].as_str().unwrap();
    let reach = format!("busybox nc -w 3 {address} 5432 </dev/null");
    assert_eq!(lab.run(&["run", "a1", "--", "sh", "-c", &reach]).code, 0);
    let other = lab.run(&["run", "a2", "--", "sh", "-c", &reach]);
    assert_ne!(other.code, 0, "{}", other.stdout);
    assert!(other.stdout.is_empty());
}
