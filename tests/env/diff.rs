//! `env diff`: a real unified diff.

use crate::support::Lab;

fn changed() -> Lab {
    let lab = Lab::new();
    lab.write("old.txt", "to be deleted\n");
    lab.git(&["add", "-A"]);
    lab.git(&["commit", "-q", "-m", "second"]);
    lab.ok(&[
        "run", "a", "--", "sh", "-c",
        "sed -i s/two/2/ src/app.txt; rm old.txt; echo new > 'with space.txt'; chmod +x README.md; ln -s src link",
    ]);
    lab
}

#[test]
fn git_takes_the_diff() {
    let lab = changed();
    let patch = lab.ok(&["env", "diff", "a"]);
    assert!(patch.contains("-two\n+2\n"), "{patch}");
    std::fs::write(lab.user_home().join("p.diff"), &patch).unwrap();
    let file = lab.user_home().join("p.diff");
    lab.git(&["apply", file.to_str().unwrap()]);
    assert_eq!(lab.read("src/app.txt"), "one\n2\nthree\n");
    assert!(!lab.project.join("old.txt").exists());
    assert_eq!(lab.read("with space.txt"), "new\n");
    assert!(lab.project.join("link").is_symlink());
}

#[test]
fn stat_and_json_count_lines() {
    let lab = changed();
    let stat = lab.ok(&["env", "diff", "a", "--stat"]);
    assert!(stat.contains("src/app.txt") && stat.contains("5 files changed"), "{stat}");
    let json = lab.json(&["env", "diff", "a"]);
    let app =
        json["files"].as_array().unwrap().iter().find(|f| f["path"] == "src/app.txt").unwrap();
    assert_eq!((&app["insertions"], &app["deletions"]), (&1.into(), &1.into()));
}

#[test]
fn what_git_ignores_is_left_out_unless_asked_for() {
    let lab = Lab::new();
    lab.write(".gitignore", "build/\n");
    lab.ok(&["run", "a", "--", "sh", "-c", "mkdir build; echo x > build/out; echo y > kept"]);
    let paths = |args: &[&str]| -> Vec<String> {
        let json = lab.json(args);
        json["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f["path"].as_str().unwrap().into())
            .collect()
    };
    assert_eq!(paths(&["env", "diff", "a"]), ["kept"]);
    assert_eq!(paths(&["env", "diff", "a", "--all"]), ["build/out", "kept"]);
}

#[test]
fn an_untouched_environment_has_no_diff() {
    let lab = Lab::new();
    lab.ok(&["run", "a", "--", "sh", "-c", "cat src/app.txt > /dev/null; touch src/app.txt"]);
    assert_eq!(lab.ok(&["env", "diff", "a"]), "");
}
