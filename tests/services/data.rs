//! What volumes start with: a copy of another environment's data, or a seed.

use super::SHOP;
use crate::support::Lab;

const WHO: &[&str] = &["busybox", "nc", "db", "5432"];

fn who(lab: &Lab, options: &[&str], env: &str) -> String {
    lab.ok(&[&["run"], options, &[env, "--"], WHO].concat())
}

#[test]
fn an_environment_starts_with_a_copy_of_anothers_data_that_is_its_own() {
    let lab = Lab::with_services("shop", SHOP);
    let first = who(&lab, &[], "a1");
    assert_eq!(who(&lab, &["--data-from", "a1"], "a2"), first, "it is a copy");
    assert_eq!(who(&lab, &[], "a1"), first, "the source goes on");
    lab.ok(&["env", "down", "--volumes", "a1"]);
    assert_eq!(who(&lab, &[], "a2"), first, "the copy does not go with its source");
    // Data that is there is never written over.
    let fresh = who(&lab, &[], "a3");
    assert_ne!(fresh, first);
    lab.ok(&["env", "down", "a3"]);
    assert_eq!(who(&lab, &["--data-from", "a2"], "a3"), fresh);
}

#[test]
fn a_seed_outlives_the_environment_it_was_saved_from() {
    let lab = Lab::with_services("shop", SHOP);
    let first = who(&lab, &[], "a1");
    lab.ok(&["env", "seed", "save", "base", "a1"]);
    lab.ok(&["env", "rm", "--yes", "a1"]);
    assert!(lab.ok(&["env", "seed", "ls"]).contains("base"));
    assert_eq!(who(&lab, &["--data-from", "base"], "a2"), first);
    lab.ok(&["env", "seed", "rm", "--yes", "base"]);
    lab.run(&["run", "a3", "--data-from", "base", "--", "true"]).fails(3, &["base"]);
}
