//! `atelier env rm --keep-workspace`.

use super::SHOP;
use crate::support::{Lab, ask_engine, containers, kill_control_plane, leave_job};

const WHO: [&str; 6] = ["run", "a1", "--", "busybox", "nc", "db"];

fn who(lab: &Lab) -> String {
    lab.ok(&[&WHO[..], &["5432"]].concat())
}

fn id(lab: &Lab) -> String {
    lab.json(&["env", "show", "a1"])["id"].as_str().unwrap().to_owned()
}

#[test]
fn the_files_stay_and_services_begin_anew() {
    let lab = Lab::with_services("shop", SHOP);
    lab.ok(&["run", "a1", "--", "sh", "-c", "echo mine > mine.txt"]);
    let (before, id) = (who(&lab), id(&lab));
    let label = format!("dev.atelier.environment={id}");
    let said = lab.ok(&["env", "rm", "a1", "--keep-workspace", "--yes"]);
    assert!(said.contains("its files are kept"), "{said}");
    assert!(containers(&label).is_empty());
    let networks = ask_engine("/networks").to_string();
    assert!(!networks.contains(&id), "{networks}");
    assert!(!ask_engine("/volumes").to_string().contains(&id));
    assert_eq!(lab.json(&["network", "info"])["networks"].as_array().unwrap().len(), 0);
    assert_eq!(lab.json(&["env", "show", "a1"])["state"], "stopped");
    assert_ne!(who(&lab), before, "fresh data");
    assert_eq!(lab.ok(&["run", "a1", "--", "cat", "mine.txt"]), "mine\n");
}

#[test]
fn one_that_was_interrupted_is_finished_and_takes_no_files() {
    let lab = Lab::with_services("shop", SHOP);
    lab.ok(&["run", "a1", "--", "sh", "-c", "echo mine > mine.txt"]);
    let id = id(&lab);
    kill_control_plane(&lab);
    leave_job(&lab, "env.clear", &id, "begin");
    assert_eq!(lab.json(&["env", "show", "a1"])["state"], "stopped");
    assert!(containers(&format!("dev.atelier.environment={id}")).is_empty());
    assert_eq!(lab.ok(&["run", "a1", "--no-up", "--", "cat", "mine.txt"]), "mine\n");
}
