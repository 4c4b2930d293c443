//! Settings: where each value came from, and files that are not valid.

use crate::support::Lab;

#[test]
fn each_value_shows_its_origin() {
    let lab = Lab::new();
    lab.write("atelier.yaml", "resources: {memory: 2GiB}\n");
    std::fs::create_dir_all(lab.home()).unwrap();
    std::fs::write(lab.home().join("config.yaml"), "idle_stop: 5m\nresources: {cpus: 1.5}\n")
        .unwrap();
    let mut command = lab.command(&["config", "--json"]);
    let output = command.env("ATELIER_PROCESSES", "99").output().unwrap();
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let origin = |key: &str| {
        let row = rows.as_array().unwrap().iter().find(|r| r["key"] == key).unwrap();
        row["origin"].as_str().unwrap().to_owned()
    };
    assert!(origin("resources.memory").ends_with("atelier.yaml"));
    assert!(origin("idle_stop").ends_with("config.yaml"));
    assert_eq!(origin("resources.processes"), "environment");
    assert_eq!(origin("runtime"), "default");
}

#[test]
fn a_variable_that_nothing_reads_is_told_with_what_was_meant() {
    let lab = Lab::new();
    let doctor = |name: &str| {
        let output = lab.command(&["doctor"]).env(name, "hidden").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let told = doctor("ATELIER_TLS_LISTEN");
    assert!(told.contains("ATELIER_TLS_LISTEN is set, and nothing reads it"), "{told}");
    assert!(told.contains("set ATELIER_TLS, if"), "{told}");
    assert!(!told.contains("hidden"), "values may be secrets: {told}");
    assert!(!doctor("ATELIER_TOKEN").contains("nothing reads it"));
}

#[test]
fn a_wrong_project_file_is_named_with_its_line() {
    let lab = Lab::new();
    lab.write("atelier.yaml", "name: shop\nresources:\n  memroy: 2GiB\n");
    lab.run(&["run", "a", "--", "true"]).fails(5, &["atelier.yaml", "3", "memroy", "memory"]);
    lab.write("atelier.yaml", "env: [not, a, map]\n");
    lab.run(&["env", "create", "a"]).fails(5, &["atelier.yaml"]);
    lab.write("atelier.yaml", b"name: \xff\xfe\n");
    lab.run(&["env", "create", "a"]).fails(5, &["atelier.yaml"]);
}

#[test]
fn a_wrong_home_file_is_named_with_its_line() {
    let lab = Lab::new();
    std::fs::create_dir_all(lab.home()).unwrap();
    std::fs::write(lab.home().join("config.yaml"), "log: {level: info}\nidle: 5m\n").unwrap();
    lab.run(&["env", "ls"]).fails(5, &["config.yaml", "2"]);
    std::fs::remove_file(lab.home().join("config.yaml")).unwrap();
}

#[test]
fn init_writes_a_file_that_is_valid_and_keeps_one_that_is_there() {
    let lab = Lab::new();
    lab.write("package.json", "{\"scripts\": {\"test\": \"node --test\"}}");
    lab.ok(&["init"]);
    let written = lab.read("atelier.yaml");
    assert!(written.contains("npm"), "{written}");
    lab.run(&["init"]).fails(4, &["atelier.yaml"]);
    lab.ok(&["config"]);
}
