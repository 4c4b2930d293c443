//! `env rm` and `env stop`.

use crate::support::{Lab, Traces, in_terminal, wait_until};

#[test]
fn nothing_is_left_of_a_removed_environment() {
    let lab = Lab::new();
    lab.ok(&["run", "first", "--", "true"]);
    lab.ok(&["env", "rm", "--yes", "first"]);
    let before = Traces::of(&lab.home());
    for name in ["a", "b", "c"] {
        lab.ok(&[
            "run",
            name,
            "--",
            "sh",
            "-c",
            "mkdir -p d && touch d/f && chmod 000 d; echo x > /etc/x",
        ]);
    }
    lab.ok(&["env", "rm", "--yes", "a", "b", "c"]);
    before.wait_until_nothing_more(&lab.home());
}

#[test]
fn without_a_terminal_a_removal_must_be_confirmed_by_a_flag() {
    let lab = Lab::new();
    lab.ok(&["env", "create", "a"]);
    lab.run(&["env", "rm", "a"]).fails(2, &["--yes"]);
    assert_eq!(lab.ok(&["env", "ls", "-q"]), "a\n");
}

#[test]
fn all_of_every_project_go_at_once_and_what_would_be_lost_is_said_first() {
    let lab = Lab::new();
    lab.ok(&["run", "a", "--", "sh", "-c", "echo new > new.txt"]);
    let other = lab.user_home().join("other");
    std::fs::create_dir(&other).unwrap();
    let made = lab.command(&["env", "create", "b"]).current_dir(&other).output().unwrap();
    assert!(made.status.success());
    let args = ["env", "rm", "--all", "--all-projects"];
    let asked = in_terminal(&lab, &args, "expect('shop/a (1 change)')\ntype('n\\n')");
    assert!(asked.stdout.contains("status 0"), "{asked:?}");
    assert_eq!(lab.json(&["env", "ls", "--all-projects"]).as_array().unwrap().len(), 2);
    let removed = lab.json(&["env", "rm", "--all", "--all-projects", "--yes"]);
    assert!(removed["shop/a"].is_object() && removed["other/b"].is_object(), "{removed}");
    assert_eq!(lab.ok(&["env", "ls", "--all-projects", "-q"]), "");
}

#[test]
fn what_was_applied_or_is_on_a_branch_is_not_lost() {
    let lab = Lab::new();
    let unapplied = |text: &str| {
        let asked =
            in_terminal(&lab, &["env", "rm", "a"], &format!("expect('{text}')\ntype('n\\n')"));
        assert!(asked.stdout.contains("status 0"), "{asked:?}");
    };
    lab.git(&["config", "user.name", "Test"]);
    lab.git(&["config", "user.email", "test@example.com"]);
    lab.ok(&["run", "a", "--", "sh", "-c", "echo 1 > one; echo 2 > two"]);
    unapplied("a (2 changes)");
    lab.ok(&["env", "apply", "a"]);
    unapplied("Nothing in there waits");
    lab.ok(&["run", "a", "--", "sh", "-c", "echo 3 >> one"]);
    unapplied("a (1 change)");
    lab.ok(&["env", "apply", "a", "--branch", "a"]);
    unapplied("Nothing in there waits");
    let commit = "git checkout -q -b side && echo s > s && git add s \
        && git -c user.name=a -c user.email=a@b commit -q -m s && git checkout -q -";
    lab.ok(&["run", "a", "--", "sh", "-c", commit]);
    unapplied("a (1 change)");
}

#[test]
fn an_environment_with_commands_is_not_removed_by_accident() {
    let lab = Lab::new();
    let mut client = lab.spawn(&["run", "a", "--", "sleep", "1000"]);
    wait_until("it runs", || lab.run(&["env", "show", "a", "--json"]).stdout.contains("\"sleep\""));
    lab.run(&["env", "rm", "--yes", "a"]).fails(4, &["sleep 1000", "--force"]);
    lab.ok(&["env", "rm", "--yes", "--force", "a"]);
    let status = client.wait().unwrap();
    assert_ne!(status.code(), Some(0));
    assert_eq!(lab.ok(&["env", "ls", "-q"]), "");
}

#[test]
fn an_environment_outlives_its_projects_folder_and_can_be_removed() {
    let lab = Lab::new();
    lab.ok(&["run", "a", "--", "sh", "-c", "echo kept > kept.txt"]);
    let gone = lab.project.clone();
    std::fs::remove_dir_all(&gone).unwrap();
    let from_elsewhere = |args: &[&str]| {
        let mut args = args.to_vec();
        args.extend(["-C", gone.to_str().unwrap()]);
        let output = lab.command(&args).current_dir(lab.user_home()).output().unwrap();
        crate::support::Done::of(output)
    };
    let diff = from_elsewhere(&["env", "diff", "a"]);
    assert!(diff.stdout.contains("+kept"), "{diff:?}");
    let stop = lab.command(&["stop", "--all"]).current_dir(lab.user_home()).output().unwrap();
    assert!(stop.status.success(), "{stop:?}");
    assert_eq!(from_elsewhere(&["env", "rm", "--yes", "a"]).code, 0);
    std::fs::create_dir(&gone).unwrap();
}

#[test]
fn a_stopped_environment_keeps_its_files() {
    let lab = Lab::new();
    lab.ok(&["run", "a", "--", "sh", "-c", "echo kept > kept.txt"]);
    lab.ok(&["env", "stop", "a"]);
    assert_eq!(lab.json(&["env", "show", "a"])["state"], "stopped");
    assert_eq!(lab.ok(&["run", "a", "--", "cat", "kept.txt"]), "kept\n");
}
