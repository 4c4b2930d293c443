//! Several environments at the same time.

use super::SHOP;
use crate::support::{Done, Lab};

#[test]
fn many_environments_come_up_at_once_each_with_addresses_of_its_own() {
    let lab = Lab::with_services("shop", SHOP);
    let names: Vec<String> = (1..=6).map(|n| format!("a{n}")).collect();
    let started: Vec<_> = names
        .iter()
        .map(|name| lab.spawn(&["run", name, "--", "busybox", "nc", "db", "5432"]))
        .collect();
    let mut said: Vec<String> = started
        .into_iter()
        .map(|child| {
            let done = Done::of(child.wait_with_output().unwrap());
            assert_eq!(done.code, 0, "{}", done.stderr);
            done.stdout
        })
        .collect();
    said.sort();
    said.dedup();
    assert_eq!(said.len(), names.len(), "each has its own database");
    let info = lab.json(&["network", "info"]);
    let mut subnets: Vec<&str> = info["networks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|network| network["subnets"][0].as_str().unwrap())
        .collect();
    subnets.sort_unstable();
    subnets.dedup();
    assert_eq!(subnets.len(), names.len());
    lab.ok(&["env", "ls"]);
}

#[test]
fn two_projects_with_the_same_names_are_in_nobodys_way() {
    let (one, two) = (Lab::with_services("shop", SHOP), Lab::with_services("shop", SHOP));
    let reach = "busybox wget -q -O - http://api:3000/";
    for lab in [&one, &two] {
        assert_eq!(lab.ok(&["run", "a1", "--", "sh", "-c", reach]), "hello\n");
    }
    one.ok(&["env", "rm", "--yes", "a1"]);
    assert_eq!(two.ok(&["run", "a1", "--", "sh", "-c", reach]), "hello\n");
}
