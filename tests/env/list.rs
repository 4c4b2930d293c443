//! `env ls` and `env show`.

use crate::support::Lab;

#[test]
fn environments_are_listed_as_a_table_as_names_and_as_json() {
    let lab = Lab::new();
    for name in ["a", "b"] {
        lab.ok(&["env", "create", name]);
    }
    let table = lab.ok(&["env", "ls"]);
    assert!(table.starts_with("NAME") && table.contains("shop"), "{table}");
    let mut names: Vec<String> = lab.ok(&["env", "ls", "-q"]).lines().map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, ["a", "b"]);
    let list = lab.json(&["env", "ls"]);
    assert_eq!(list[0]["state"], "stopped");
    lab.ok(&["run", "a", "--", "true"]);
    assert_eq!(lab.json(&["env", "show", "a"])["state"], "running");
}

#[test]
fn another_projects_environments_are_its_own() {
    let lab = Lab::new();
    lab.ok(&["env", "create", "a"]);
    let other = lab.user_home().join("other");
    std::fs::create_dir(&other).unwrap();
    let in_other = |args: &[&str]| {
        let output = lab.command(args).current_dir(&other).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(in_other(&["env", "ls", "-q"]), "");
    in_other(&["env", "create", "a"]);
    assert_eq!(in_other(&["env", "ls", "-q"]), "a\n");
    assert_eq!(lab.json(&["env", "ls", "--all"]).as_array().unwrap().len(), 2);
}
