//! `env create`: what a new environment begins with.

use crate::support::Lab;

fn made(lab: &Lab, name: &str, args: &[&str]) -> String {
    lab.ok(&[&["env", "create", name], args].concat());
    lab.ok(&["run", name, "--", "sh", "-c", "find . -path ./.git -prune -o -type f -print | sort"])
}

#[test]
fn nothing_of_the_project_comes_into_an_empty_one() {
    let lab = Lab::new();
    assert_eq!(lab.ok(&["run", "--empty", "e", "--", "ls", "-A"]), "");
    lab.ok(&["run", "e", "--", "sh", "-c", "mkdir d; echo x > d/x"]);
    lab.ok(&["env", "apply", "e"]);
    assert_eq!(lab.read("d/x"), "x\n");
    assert_eq!(lab.read("README.md"), "# shop\n");
    lab.run(&["env", "create", "f", "--empty", "--from", "main"]).fails(2, &["--from"]);
}

#[test]
fn another_checkout_can_be_what_it_begins_with() {
    let lab = Lab::new();
    let other = lab.user_home().join("second");
    lab.git(&["worktree", "add", "-q", "-b", "second", other.to_str().unwrap()]);
    std::fs::write(other.join("draft.txt"), "draft\n").unwrap();
    let seen = made(&lab, "a", &["--from", other.to_str().unwrap()]);
    assert_eq!(seen, "./README.md\n./draft.txt\n./src/app.txt\n");
    assert_eq!(lab.ok(&["run", "a", "--", "pwd"]).trim(), lab.project.to_str().unwrap());
    std::fs::write(other.join("draft.txt"), "better\n").unwrap();
    lab.ok(&["env", "sync", "a"]);
    assert_eq!(lab.ok(&["run", "a", "--", "cat", "draft.txt"]), "better\n");
    lab.run(&["env", "create", "b", "--from", "./nowhere"]).fails(3, &["nowhere"]);
}

#[test]
fn files_that_are_left_out_come_when_they_are_named() {
    let lab = Lab::new();
    lab.write(".gitignore", "*.key\nnode_modules/\n");
    lab.write("atelier.yaml", "files:\n  copy: none\n");
    for file in [".env", "a.key", "b.key", "node_modules/x/index.js"] {
        lab.write(file, "secret\n");
    }
    let always = ["./.gitignore", "./README.md", "./atelier.yaml", "./src/app.txt"];
    assert_eq!(made(&lab, "bare", &[]).lines().collect::<Vec<_>>(), always);
    let some = made(&lab, "some", &["--include", "a.key", "--include", "node_modules/"]);
    assert!(some.contains("./a.key") && some.contains("node_modules/x/index.js"), "{some}");
    assert!(!some.contains("b.key") && !some.contains(".env"), "{some}");
}
