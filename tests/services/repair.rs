//! Bad days: a control plane that is killed, containers that are killed or removed behind our back.

use super::SHOP;
use crate::support::{
    Lab, ask_engine, containers, kill_control_plane, send_engine, tell_engine, wait_until,
};

fn label(lab: &Lab) -> String {
    let shown = lab.json(&["env", "show", "a1"]);
    format!("dev.atelier.environment={}", shown["id"].as_str().unwrap())
}

#[test]
fn services_go_on_without_the_control_plane_and_their_names_come_back_with_it() {
    let lab = Lab::with_services("shop", SHOP);
    let who = lab.ok(&["run", "a1", "--", "busybox", "nc", "db", "5432"]);
    let before = containers(&label(&lab)).len();
    kill_control_plane(&lab);
    assert_eq!(lab.ok(&["run", "a1", "--", "busybox", "nc", "db", "5432"]), who);
    assert_eq!(containers(&label(&lab)).len(), before);
    let reached = || lab.run(&["env", "url", "a1", "api"]).code == 0;
    wait_until("its names are back", reached);
}

#[test]
fn a_container_that_was_removed_is_there_again_for_the_next_command() {
    let lab = Lab::with_services("shop", SHOP);
    lab.ok(&["run", "a1", "--", "true"]);
    let db = containers(&label(&lab));
    let db = db.iter().find(|c| c.to_string().contains("-db-1")).unwrap();
    tell_engine("DELETE", &format!("/containers/{}?force=1", db["Id"].as_str().unwrap()));
    // It runs again, and listens a moment later.
    let reach = "until busybox nc db 5432 </dev/null; do sleep 0.1; done";
    assert_eq!(lab.run(&["run", "a1", "--", "sh", "-c", reach]).code, 0);
    assert_eq!(containers(&label(&lab)).len(), 2);
}

#[test]
fn an_up_that_was_killed_in_the_middle_is_taken_back_or_can_be_repeated() {
    let lab = Lab::with_services("shop", SHOP);
    lab.ok(&["env", "create", "a1"]);
    for wait in [20, 150, 400] {
        let mut up = lab.spawn(&["env", "up", "a1"]);
        std::thread::sleep(std::time::Duration::from_millis(wait));
        kill_control_plane(&lab);
        let _ = up.wait();
        // The next control plane puts right what was left, whatever it was.
        lab.ok(&["env", "up", "a1"]);
        assert_eq!(containers(&label(&lab)).len(), 2);
        lab.ok(&["env", "down", "a1"]);
    }
}

#[test]
fn a_lost_database_loses_no_data_of_services() {
    let lab = Lab::with_services("shop", SHOP);
    let who = lab.ok(&["run", "a1", "--", "busybox", "nc", "db", "5432"]);
    lab.ok(&["stop"]);
    for name in ["state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(lab.home().join(name));
    }
    std::fs::write(lab.home().join("state.db"), "no database").unwrap();
    lab.run(&["doctor", "--fix", "--yes"]);
    assert_eq!(lab.ok(&["run", "a1", "--", "busybox", "nc", "db", "5432"]), who);
    assert_eq!(containers(&label(&lab)).len(), 2);
}

/// What the doctor says of services.
fn diagnosis(lab: &Lab, args: &[&str]) -> (String, String) {
    let done = lab.run(&[&["doctor", "--json"], args].concat());
    let checks: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let all = checks.as_array().unwrap();
    let own = all.iter().find(|check| check["name"] == "services");
    let own = own.unwrap_or_else(|| panic!("nothing of services in {checks}"));
    (own["verdict"].as_str().unwrap().into(), own["detail"].as_str().unwrap().into())
}

#[test]
fn the_doctor_finds_what_differs_from_the_engine_and_mends_it() {
    let lab = Lab::with_services("shop", SHOP);
    let ask = ["run", "--no-up", "a1", "--", "busybox", "nc", "db", "5432"];
    lab.ok(&["env", "create", "a1"]);
    lab.ok(&["env", "up", "a1"]);
    let who = lab.ok(&ask);
    assert_eq!(diagnosis(&lab, &[]).0, "ok");
    for container in containers(&label(&lab)) {
        tell_engine(
            "DELETE",
            &format!("/containers/{}?force=1", container["Id"].as_str().unwrap()),
        );
    }
    let (verdict, detail) = diagnosis(&lab, &[]);
    assert_eq!(verdict, "warning", "{detail}");
    assert!(detail.contains("services of shop/a1 don't run"), "{detail}");
    let (verdict, detail) = diagnosis(&lab, &["--fix", "--yes"]);
    assert_eq!(verdict, "fixed", "{detail}");
    assert_eq!(lab.ok(&ask), who);
    assert_eq!(diagnosis(&lab, &[]).0, "ok");
}

#[test]
fn the_doctor_finds_what_belongs_to_no_environment_and_removes_it() {
    let lab = Lab::with_services("shop", SHOP);
    lab.ok(&["env", "create", "a1"]);
    lab.ok(&["env", "up", "a1"]);
    let own = containers(&label(&lab));
    let labels = own[0]["Labels"].as_object().unwrap();
    let home = labels["dev.atelier.home"].as_str().unwrap();
    let nobody = "019aa000-0000-7000-8000-000000000000";
    let name = format!("atelier-test-stray-{}", std::process::id());
    let volume = serde_json::json!({
        "Name": name,
        "Labels": { "dev.atelier.home": home, "dev.atelier.environment": nobody },
    });
    send_engine("/volumes/create", &volume);
    let (verdict, detail) = diagnosis(&lab, &[]);
    assert_eq!(verdict, "warning", "{detail}");
    assert!(detail.contains(nobody), "{detail}");
    assert_eq!(diagnosis(&lab, &["--fix", "--yes"]).0, "fixed");
    assert!(ask_engine(&format!("/volumes/{name}"))["Name"].is_null());
    assert_eq!(containers(&label(&lab)).len(), 2);
}
