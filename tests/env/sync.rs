//! `env sync`.

use crate::support::{Lab, kill_control_plane, wait_until};

fn inside(lab: &Lab, script: &str) -> String {
    lab.ok(&["run", "a", "--", "sh", "-c", script])
}

#[test]
fn what_changed_in_the_project_comes_in_while_commands_run_and_the_diff_tells_only_the_environments_own()
 {
    let lab = Lab::new();
    inside(&lab, "echo mine > mine.txt; sed -i s/one/ONE/ src/app.txt");
    let mut command =
        lab.spawn(&["run", "a", "--", "sh", "-c", "until [ -e new.txt ]; do sleep 0.05; done"]);
    wait_until("it runs", || lab.json(&["env", "show", "a"])["processes"] == 1);
    lab.write("new.txt", "new\n");
    lab.write("src/app.txt", "one\ntwo\nTHREE\n");
    std::fs::remove_file(lab.project.join("README.md")).unwrap();
    let dry = lab.json(&["env", "sync", "a", "--dry-run"]);
    assert_eq!(dry["files"].as_array().unwrap().len(), 3, "{dry}");
    let done = lab.json(&["env", "sync", "a"]);
    assert_eq!(done["files"], dry["files"]);
    assert_eq!(done["merged"][0], "src/app.txt");
    assert!(command.wait().unwrap().success(), "the command that ran saw the new file");
    assert_eq!(
        inside(&lab, "cat src/app.txt; ls -A"),
        "ONE\ntwo\nTHREE\n.git\nmine.txt\nnew.txt\nsrc\n"
    );
    let diff = lab.json(&["env", "diff", "a"]);
    let files: Vec<_> =
        diff["files"].as_array().unwrap().iter().map(|f| f["path"].as_str().unwrap()).collect();
    assert_eq!(files, ["mine.txt", "src/app.txt"]);
    let again = lab.ok(&["env", "sync", "a"]);
    assert_eq!(again, "0 files changed in the environment\n");
    lab.ok(&["env", "apply", "a"]);
    assert_eq!(lab.read("src/app.txt"), "ONE\ntwo\nTHREE\n");
    assert!(!lab.project.join("README.md").exists());
}

#[test]
fn where_both_changed_nothing_is_done_until_it_is_said_whose_are_right() {
    let lab = Lab::new();
    inside(&lab, "echo inside > src/app.txt");
    lab.write("src/app.txt", "outside\n");
    lab.write("other.txt", "other\n");
    lab.run(&["env", "sync", "a"])
        .fails(4, &["the environment has changed", "src/app.txt:1", "--prefer"]);
    assert_eq!(inside(&lab, "cat src/app.txt; ls"), "inside\nREADME.md\nsrc\n");
    let kept = lab.json(&["env", "sync", "a", "--prefer", "environment"]);
    assert_eq!(kept["files"], serde_json::json!(["other.txt"]));
    assert_eq!(inside(&lab, "cat src/app.txt"), "inside\n");
    lab.write("src/app.txt", "outside again\n");
    lab.ok(&["env", "sync", "a", "--prefer", "project"]);
    assert_eq!(inside(&lab, "cat src/app.txt"), "outside again\n");
    assert_eq!(lab.json(&["env", "diff", "a"])["files"].as_array().unwrap().len(), 0);
}

#[test]
fn what_was_applied_and_went_on_in_the_project_comes_back_without_a_conflict() {
    let lab = Lab::new();
    inside(&lab, "echo first > shared.txt");
    lab.ok(&["env", "apply", "a"]);
    lab.write("shared.txt", "first\nand more\n");
    lab.ok(&["env", "sync", "a"]);
    assert_eq!(inside(&lab, "cat shared.txt"), "first\nand more\n");
    inside(&lab, "echo inside >> shared.txt");
    lab.ok(&["env", "apply", "a"]);
    assert_eq!(lab.read("shared.txt"), "first\nand more\ninside\n");
    assert_eq!(lab.ok(&["env", "sync", "a"]), "0 files changed in the environment\n");
    assert_eq!(
        lab.json(&["env", "diff", "a"])["files"].as_array().unwrap().len(),
        0,
        "the project has all"
    );
}

#[test]
fn files_that_git_ignores_come_too_and_never_stand_in_the_way() {
    let lab = Lab::new();
    lab.write(".gitignore", "*.log\n.env\n");
    lab.write("build.log", "1\n");
    lab.write(".env", "A=1\n");
    inside(&lab, "echo inside > build.log");
    lab.write("build.log", "2\n");
    lab.write(".env", "A=2\n");
    let done = lab.json(&["env", "sync", "a"]);
    assert_eq!(done["files"], serde_json::json!([".env"]));
    assert!(done["notes"][0].as_str().unwrap().contains("stay as they are"), "{done}");
    assert_eq!(inside(&lab, "cat .env build.log"), "A=2\ninside\n");
}

#[test]
fn a_project_that_changed_much_is_a_new_base_and_the_diff_stays_right() {
    let lab = Lab::new();
    inside(&lab, "echo mine > mine.txt");
    for n in 0..200 {
        lab.write(&format!("many/{n}.txt"), format!("{n}\n"));
    }
    let done = lab.json(&["env", "sync", "a"]);
    assert_eq!(done["files"].as_array().unwrap().len(), 200);
    assert_eq!(inside(&lab, "cat many/*.txt | wc -l"), "200\n");
    let diff = lab.json(&["env", "diff", "a"]);
    assert_eq!(diff["files"].as_array().unwrap().len(), 1, "{diff}");
    inside(&lab, "echo x > many/7.txt");
    lab.ok(&["env", "apply", "a"]);
    assert_eq!(lab.read("many/7.txt"), "x\n");
}

#[test]
fn a_sync_that_is_killed_is_whole_or_was_never_there() {
    let lab = Lab::new();
    inside(&lab, "echo mine > mine.txt");
    for round in 0..6_u64 {
        for n in 0..40 {
            lab.write(&format!("d/{n}.txt"), format!("{round}\n"));
        }
        let mut sync = lab.spawn(&["env", "sync", "a"]);
        std::thread::sleep(std::time::Duration::from_millis(15 + 12 * round));
        kill_control_plane(&lab);
        let _ = sync.wait();
        let said = inside(&lab, "cat d/*.txt 2>/dev/null | sort -u; ls -A | grep atelier; true");
        assert!(said.lines().count() <= 1, "round {round}: half of it: {said}");
        let whole = said == format!("{round}\n");
        let diff = lab.json(&["env", "diff", "a"]);
        assert_eq!(
            diff["files"].as_array().unwrap().len(),
            1,
            "round {round}, whole: {whole}: {diff}"
        );
        lab.ok(&["env", "sync", "a"]);
        assert_eq!(inside(&lab, "cat d/*.txt | sort -u"), format!("{round}\n"));
    }
}
