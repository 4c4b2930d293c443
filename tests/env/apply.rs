//! `env apply`: the way back into the project.

use crate::support::Lab;

#[test]
fn changes_come_back_as_working_tree_changes() {
    let lab = Lab::new();
    lab.ok(&[
        "run",
        "a",
        "--",
        "sh",
        "-c",
        "sed -i s/two/2/ src/app.txt; echo new > new.txt; rm README.md",
    ]);
    lab.ok(&["env", "apply", "a"]);
    assert_eq!(lab.git(&["status", "--short"]), " D README.md\n M src/app.txt\n?? new.txt\n");
    // Once more changes nothing.
    lab.ok(&["env", "apply", "a"]);
    assert_eq!(lab.read("src/app.txt"), "one\n2\nthree\n");
}

#[test]
fn changes_in_other_places_of_a_file_are_merged() {
    let lab = Lab::new();
    let lines: String = (1..=40).map(|n| format!("line {n}\n")).collect();
    lab.write("long.txt", &lines);
    lab.ok(&["run", "a", "--", "sed", "-i", "s/line 40/theirs/", "long.txt"]);
    lab.write("long.txt", lines.replace("line 1\n", "mine\n"));
    lab.ok(&["env", "apply", "a"]);
    let merged = lab.read("long.txt");
    assert!(merged.starts_with("mine\n") && merged.ends_with("theirs\n"), "{merged}");
}

#[test]
fn changes_in_the_same_place_are_refused_whole_and_named() {
    let lab = Lab::new();
    lab.ok(&["run", "a", "--", "sh", "-c", "sed -i s/two/theirs/ src/app.txt; echo new > new.txt"]);
    lab.write("src/app.txt", "one\nmine\nthree\n");
    lab.run(&["env", "apply", "a"]).fails(4, &["src/app.txt:2"]);
    assert_eq!(lab.read("src/app.txt"), "one\nmine\nthree\n");
    assert!(!lab.project.join("new.txt").exists(), "nothing may be touched");
}

#[test]
fn a_branch_gets_the_environments_commits_and_the_rest_as_one_more() {
    let lab = Lab::new();
    lab.git(&["config", "user.name", "Test"]);
    lab.git(&["config", "user.email", "test@example.com"]);
    let script = "echo 1 > one.txt && git add -A && git commit -q -m 'inside' && echo 2 > two.txt";
    lab.ok(&["run", "a", "--", "sh", "-c", script]);
    lab.ok(&["env", "apply", "a", "--branch", "agent/work", "-m", "the rest"]);
    let log = lab.git(&["log", "--format=%s", "agent/work"]);
    assert_eq!(log, "the rest\ninside\nfirst\n");
    assert_eq!(lab.git(&["status", "--short"]), "", "the working tree is left alone");
    assert_eq!(lab.git(&["show", "agent/work:two.txt"]), "2\n");
    lab.run(&["env", "apply", "a", "--branch", "agent/work"]).fails(4, &["agent/work"]);
}

#[test]
fn without_changes_no_branch_is_made_and_that_is_said() {
    let lab = Lab::new();
    lab.ok(&["run", "a", "--", "true"]);
    let done = lab.run(&["env", "apply", "a", "--branch", "nothing"]);
    assert_eq!((done.code, done.stdout.as_str()), (0, "no branch was made\n"));
    assert!(done.stderr.contains("nothing to commit"), "{}", done.stderr);
    assert!(!lab.git(&["branch", "--list"]).contains("nothing"));
}

#[test]
fn a_dry_run_touches_nothing() {
    let lab = Lab::new();
    lab.ok(&["run", "a", "--", "sh", "-c", "echo new > new.txt"]);
    let json = lab.json(&["env", "apply", "a", "--dry-run"]);
    assert_eq!(json["files"][0], "new.txt");
    assert!(!lab.project.join("new.txt").exists());
}
