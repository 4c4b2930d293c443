//! `env recreate` and `network recreate` with services.

use super::SHOP;
use crate::support::{
    Lab, ask_engine, containers, kill_control_plane, leave_job, send_engine, wait_until,
};

fn who(lab: &Lab) -> String {
    lab.ok(&["run", "a1", "--", "busybox", "nc", "db", "5432"])
}

fn subnet(lab: &Lab) -> String {
    lab.json(&["env", "status", "a1"])["subnets"][0].as_str().unwrap().to_owned()
}

fn running(lab: &Lab) -> bool {
    let status = lab.json(&["env", "status", "a1"]);
    status["services"].as_array().unwrap().iter().all(|service| service["state"] == "running")
}

#[test]
fn services_begin_with_fresh_data_unless_it_is_kept() {
    let lab = Lab::with_services("shop", SHOP);
    let first = who(&lab);
    lab.ok(&["env", "recreate", "a1", "--keep-data"]);
    assert!(running(&lab), "they ran before");
    assert_eq!(who(&lab), first);
    lab.write("site/index.html", "newer\n");
    lab.ok(&["env", "recreate", "a1"]);
    assert_ne!(who(&lab), first);
    assert_eq!(
        lab.ok(&["run", "a1", "--", "busybox", "wget", "-q", "-O", "-", "http://api:3000/"]),
        "newer\n"
    );
}

#[test]
fn networks_are_made_anew_and_data_stays() {
    let mut lab = Lab::with_services("shop", SHOP);
    let (first, before) = (who(&lab), subnet(&lab));
    lab.ok(&["stop"]);
    lab.set("ATELIER_SUBNETS", "10.61.16.0/20");
    assert_eq!(subnet(&lab), before, "nothing happens by itself");
    let made = lab.json(&["network", "recreate", "a1"]);
    assert!(made[0]["subnets"][0].as_str().unwrap().starts_with("10.61."), "{made}");
    assert!(running(&lab));
    assert_eq!(who(&lab), first);
    lab.ok(&["network", "recreate", "--all"]);
    assert_eq!(who(&lab), first);
}

#[test]
fn networks_that_were_taken_down_when_it_was_killed_come_up_again() {
    let lab = Lab::with_services("shop", SHOP);
    let first = who(&lab);
    let id = lab.json(&["env", "show", "a1"])["id"].as_str().unwrap().to_owned();
    for wait in [30, 200, 700] {
        let mut recreate = lab.spawn(&["network", "recreate", "a1"]);
        std::thread::sleep(std::time::Duration::from_millis(wait));
        kill_control_plane(&lab);
        let _ = recreate.wait();
        wait_until("services run again", || running(&lab));
        assert_eq!(who(&lab), first);
    }
    kill_control_plane(&lab);
    leave_job(&lab, "network.recreate", &id, "begin");
    lab.ok(&["env", "ls"]);
    wait_until("nothing is up", || containers(&format!("dev.atelier.environment={id}")).is_empty());
}

#[test]
fn what_is_synced_reaches_the_services_that_run() {
    let lab = Lab::with_services("shop", SHOP);
    let first = who(&lab);
    lab.write("site/index.html", "from the project\n");
    lab.ok(&["env", "sync", "a1"]);
    let ask = ["run", "a1", "--", "busybox", "wget", "-q", "-O", "-", "http://api:3000/"];
    assert_eq!(lab.ok(&ask), "from the project\n");
    assert_eq!(who(&lab), first, "nothing was started anew");
}

#[test]
fn one_that_is_killed_leaves_services_that_can_be_started() {
    let lab = Lab::with_services("shop", SHOP);
    who(&lab);
    let id = lab.json(&["env", "show", "a1"])["id"].as_str().unwrap().to_owned();
    for wait in [50, 300, 900] {
        let mut recreate = lab.spawn(&["env", "recreate", "a1", "--force"]);
        std::thread::sleep(std::time::Duration::from_millis(wait));
        kill_control_plane(&lab);
        let _ = recreate.wait();
        who(&lab);
        assert_eq!(containers(&format!("dev.atelier.environment={id}")).len(), 2);
    }
}

#[test]
fn volumes_of_an_environment_that_is_gone_are_leftovers() {
    let lab = Lab::with_services("shop", SHOP);
    who(&lab);
    let label = format!(
        "dev.atelier.environment={}",
        lab.json(&["env", "show", "a1"])["id"].as_str().unwrap()
    );
    let all = containers(&label);
    let home = all[0]["Labels"]["dev.atelier.home"].as_str().unwrap();
    let gone = "01890000-0000-7000-8000-000000000000";
    let name = format!("leftover-{}", std::process::id());
    let body = serde_json::json!({
        "Name": name,
        "Labels": {"dev.atelier.home": home, "dev.atelier.environment": gone},
    });
    send_engine("/volumes/create", &body);
    let dry = lab.json(&["gc", "--dry-run"]);
    assert!(dry["leftovers"].to_string().contains(gone), "{dry}");
    assert!(ask_engine("/volumes").to_string().contains(&name));
    let done = lab.json(&["gc", "--yes"]);
    assert!(done["leftovers"].to_string().contains(gone), "{done}");
    assert!(!ask_engine("/volumes").to_string().contains(&name));
    let kept = lab.json(&["gc", "--yes", "--disk", "100%"])["kept"].to_string();
    assert!(kept.contains("services are up"), "{kept}");
}
