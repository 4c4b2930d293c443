//! Help, completions, man pages, versions.

use crate::support::Lab;

#[test]
fn help_and_generated_texts_need_no_control_plane() {
    let lab = Lab::bare("p");
    for args in [
        &["--help"][..],
        &["run", "--help"],
        &["completions", "bash"],
        &["version"],
        &["openapi"],
        &["config"],
    ] {
        let done = lab.run(args);
        assert_eq!(done.code, 0, "{args:?}: {}", done.stderr);
        assert!(!done.stdout.is_empty());
    }
    assert!(!lab.home().join("atelier.sock").exists());
    let document: serde_json::Value = serde_json::from_str(&lab.ok(&["openapi"])).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let lab = Lab::new();
    for n in 0..3 {
        lab.ok(&["env", "create", &format!("e{n}")]);
    }
    let binary = env!("CARGO_BIN_EXE_atelier");
    let mut shell = lab.command(&[""; 0]);
    let mut pipe = std::process::Command::new("bash");
    pipe.args([
        "-c",
        "set -o pipefail; \"$0\" env ls | head -1 >/dev/null; echo ${PIPESTATUS[0]}",
        binary,
    ]);
    pipe.env_clear().current_dir(&lab.project);
    for (key, value) in shell.stdin(std::process::Stdio::null()).get_envs() {
        pipe.env(key, value.unwrap());
    }
    let output = pipe.output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}

#[test]
fn wrong_usage_is_2_and_says_what_is_right() {
    let lab = Lab::new();
    lab.run(&["env", "creat", "a"]).fails(2, &["create"]);
    lab.run(&["run", "Bad_Name", "--", "true"]).fails(2, &["Bad_Name", "bad-name"]);
}
