//! Bad days: a control plane that is killed, containers that are killed or removed behind our back.

use super::SHOP;
use crate::support::{Lab, containers, tell_engine, wait_until};

fn label(lab: &Lab) -> String {
    let shown = lab.json(&["env", "show", "a1"]);
    format!("dev.atelier.environment={}", shown["id"].as_str().unwrap())
}

fn kill_control_plane(lab: &Lab) {
    let pid = lab.control_plane().unwrap();
    // SAFETY: no pointers are passed; the process is this lab's own control plane.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    // SAFETY: as above; signal 0 only asks whether it is there.
    wait_until("the control plane is gone", || unsafe { libc::kill(pid, 0) } != 0);
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
    let reach = "busybox nc db 5432 </dev/null";
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
