//! Beside ATK itself (`tests/atk`): the same commands give the same, except for its defects.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use super::{SPEAKER, Shed, all_text_below};
use crate::support::Done;

/// Runs ATK in the lab. It asks for settings whether there is a terminal or not: each gets this answer.
const ANSWERS: &[u8] = b"KEY\nid-1\n";

fn atk(shed: &Shed, args: &[&str]) -> Done {
    let python = std::env::var_os("ATELIER_TEST_ATK")
        .expect("scripts/test installs ATK from PyPI (tests/atk) and sets ATELIER_TEST_ATK");
    let program = PathBuf::from(python).with_file_name("atk");
    let home = shed.lab.user_home();
    let mut command = std::process::Command::new(program);
    command
        .args(args)
        .current_dir(&shed.lab.project)
        .env("HOME", &home)
        .env("ATK_HOME", home.join(".atk"));
    command.env("ATK_NONINTERACTIVE", "1").stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "t")
            .env(format!("GIT_{role}_EMAIL"), "t@example.org");
    }
    let mut child = command.spawn().unwrap();
    // A command that asks nothing may have ended already.
    let _ = child.stdin.take().unwrap().write_all(ANSWERS);
    Done::of(child.wait_with_output().unwrap())
}

/// Both with the same plugin, from a folder.
fn both() -> Shed {
    let shed = Shed::new();
    shed.publish("speaker-one", &SPEAKER);
    shed.init();
    let folder = shed.registry.join("plugins/speaker-one");
    let folder = folder.to_str().unwrap();
    assert_eq!(atk(&shed, &["init"]).code, 0);
    let added = atk(&shed, &["add", folder, "-y"]);
    assert_eq!(added.code, 0, "{}{}", added.stdout, added.stderr);
    shed.ok(&["add", folder, "--yes"]);
    shed
}

#[test]
fn the_same_plugin_has_the_same_name_and_the_same_files() {
    let shed = both();
    let theirs = shed.lab.user_home().join(".atk/plugins");
    let ours = shed.tools().join("plugins");
    let names = |folder: &PathBuf| -> Vec<_> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    assert_eq!(names(&theirs), names(&ours));
    for (file, _) in SPEAKER {
        let at = |folder: &PathBuf| fs::read(folder.join("speaker-one").join(file)).unwrap();
        assert_eq!(at(&theirs), at(&ours), "{file}");
    }
}

#[test]
fn atks_home_is_taken_over_with_its_settings_and_stays_as_it_is() {
    let shed = both();
    shed.ok(&["remove", "speaker-one", "--yes", "--purge"]);
    let env = shed.lab.user_home().join(".atk/plugins/speaker-one/.env");
    fs::write(&env, "API_KEY='s3cr3t of many words'\nAPI_KEY_ID=id-7\n").unwrap();
    let before = all_text_below(&shed.lab.user_home().join(".atk"));
    shed.ok(&["import-atk", "--yes"]);
    assert_eq!(all_text_below(&shed.lab.user_home().join(".atk")), before);
    let said = shed.json(&["mcp", "speaker-one", "--check"]);
    assert_eq!(said["server"]["server"], "speaker", "{said}");
    assert!(shed.ok(&["show", "speaker-one"]).contains("API_KEY_ID=id-7"));
    assert!(
        !all_text_below(&shed.tools()).contains("s3cr3t of many words"),
        "the secret is sealed"
    );
}

/// Defect 1: `remove` of a path that is no plugin deletes it.
#[test]
fn no_path_is_removed() {
    let shed = both();
    for name in ["precious-theirs", "precious-ours"] {
        fs::create_dir(shed.lab.project.join(name)).unwrap();
    }
    let path = |name: &str| shed.lab.project.join(name).to_str().unwrap().to_owned();
    atk(&shed, &["remove", &path("precious-theirs"), "--force"]);
    assert!(
        !shed.lab.project.join("precious-theirs").exists(),
        "ATK has mended it: not a difference any more"
    );
    shed.fails(&["remove", &path("precious-ours"), "--yes", "--force"], 2, &["no name of a tool"]);
    assert!(shed.lab.project.join("precious-ours").exists());
}

/// Defect 11: `$API_KEY` clobbers the beginning of `$API_KEY_ID`.
#[test]
fn a_settings_name_is_no_prefix_of_another() {
    let shed = both();
    let env = shed.lab.user_home().join(".atk/plugins/speaker-one/.env");
    fs::write(&env, "API_KEY=KEY\nAPI_KEY_ID=id-1\n").unwrap();
    let done = shed.lab.with_input(&["tool", "setup", "speaker-one", "--set", "API_KEY=-"], b"KEY");
    assert_eq!(done.code, 0, "{}", done.stderr);
    let theirs = atk(&shed, &["mcp", "speaker-one", "--json"]).stdout;
    assert!(theirs.contains("KEY_ID"), "ATK has mended it: not a difference any more: {theirs}");
    let found = shed.lab.run(&["tool", "mcp", "speaker-one", "--check", "--json"]);
    assert_eq!(found.code, 0, "{}", found.stderr);
}

/// Defects 8 and 9: values are shown as they are, in files that everybody reads.
#[test]
fn atk_shows_what_ours_does_not() {
    let shed = both();
    let env = shed.lab.user_home().join(".atk/plugins/speaker-one/.env");
    fs::write(&env, "API_KEY=s3cr3t-value\n").unwrap();
    let done = shed
        .lab
        .with_input(&["tool", "setup", "speaker-one", "--set", "API_KEY=-"], b"s3cr3t-value");
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(atk(&shed, &["mcp", "speaker-one", "--json"]).stdout.contains("s3cr3t-value"));
    let ours = shed.json(&["mcp", "speaker-one"]).to_string() + &shed.ok(&["show", "speaker-one"]);
    assert!(!ours.contains("s3cr3t-value"), "{ours}");
}
