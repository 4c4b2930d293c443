//! What does not exist, and what no name can be.

use crate::support::Lab;

#[test]
fn an_unknown_environment_names_those_that_there_are() {
    let lab = Lab::new();
    lab.ok(&["env", "create", "real"]);
    for args in [
        &["env", "show", "x"][..],
        &["env", "diff", "x"],
        &["env", "apply", "x"],
        &["env", "logs", "x"],
        &["env", "stop", "x"],
        &["env", "rm", "--yes", "x"],
    ] {
        lab.run(args).fails(3, &["x", "real"]);
    }
}

#[test]
fn bad_names_are_refused_with_a_suggestion() {
    let lab = Lab::new();
    for bad in ["../x", "A", "a_b", "-a", "a.b", &"x".repeat(64)] {
        let done = lab.run(&["env", "create", "--", bad]);
        assert_eq!(done.code, 2, "{bad}: {}", done.stderr);
    }
}

#[test]
fn a_name_that_is_taken_is_a_conflict() {
    let lab = Lab::new();
    lab.ok(&["env", "create", "a"]);
    lab.run(&["env", "create", "a"]).fails(4, &["shop", "a already", "env rm a"]);
}

#[test]
fn the_home_folder_and_the_root_are_no_projects() {
    let lab = Lab::new();
    for folder in [lab.user_home(), "/".into()] {
        let output =
            lab.command(&["run", "a", "--", "true"]).current_dir(&folder).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("no project"), "{said}");
        assert!(said.contains("hint:"), "{said}");
    }
}

#[test]
fn a_folder_that_is_gone_is_said_to_be_gone() {
    let lab = Lab::new();
    let folder = lab.project.join("gone");
    std::fs::create_dir(&folder).unwrap();
    let mut command = lab.command(&["env", "create", "a"]);
    command.current_dir(&folder);
    // The shell stands in a folder which another one removes.
    let script = format!("cd {0} && rmdir {0} && exec \"$0\" env create a", folder.display());
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script]).arg(command.get_program()).env_clear();
    for (key, value) in command.get_envs() {
        shell.env(key, value.unwrap());
    }
    let done = crate::support::Done::of(shell.output().unwrap());
    assert_ne!(done.code, 0);
    assert!(done.stderr.contains("hint:"), "{}", done.stderr);
}

#[test]
fn an_unknown_ref_is_gits_failure() {
    let lab = Lab::new();
    lab.run(&["env", "create", "a", "--from", "no-such-ref"]).fails(7, &["no-such-ref"]);
    assert_eq!(lab.ok(&["env", "ls", "-q"]), "");
    let bare = Lab::bare("plain");
    bare.write("f", "x");
    let done = bare.run(&["env", "create", "a", "--from", "HEAD"]);
    assert_eq!(done.code, 7, "{}", done.stderr);
}

#[test]
fn an_unknown_runtime_names_the_known_one() {
    let lab = Lab::new();
    lab.run(&["run", "a", "--runtime", "warp", "--", "true"]).fails(2, &["warp", "host"]);
}
