//! `files:` and `secrets:` of `atelier.yaml`.

use crate::support::Lab;

fn inside(lab: &Lab, name: &str, script: &str) -> String {
    lab.ok(&["run", name, "--", "sh", "-c", script])
}

#[test]
fn what_git_does_not_keep_comes_by_the_policy_and_what_it_keeps_comes_always() {
    let lab = Lab::new();
    lab.write(".gitignore", "cache/\n*.pem\n");
    for file in [".env", ".env.local", "cache/a", "cache/keep/b", "x.pem", ".env.example"] {
        lab.write(file, "x\n");
    }
    lab.git(&["add", "-f", ".env.example", "cache/keep/b"]);
    let list = "find . -path ./.git -prune -o -type f -print | sort | tr '\\n' ' '";
    let seen = |name: &str, files: &str| {
        lab.write("atelier.yaml", format!("files: {files}\n"));
        inside(&lab, name, list)
            .replace("./.gitignore ./README.md ", "")
            .replace("./atelier.yaml ", "")
            .replace("./src/app.txt ", "")
    };
    assert_eq!(
        seen("all", "{}"),
        "./.env ./.env.example ./.env.local ./cache/a ./cache/keep/b ./x.pem "
    );
    assert_eq!(seen("none", "{copy: none}"), "./.env.example ./cache/keep/b ");
    assert_eq!(
        seen("some", "{copy: [.env, '*.pem']}"),
        "./.env ./.env.example ./cache/keep/b ./x.pem "
    );
    assert_eq!(
        seen("less", "{copy: all, ignore: ['*.pem', .env.local]}"),
        "./.env ./.env.example ./cache/a ./cache/keep/b "
    );
}

#[test]
fn rendered_lines_are_the_environments_and_never_come_back() {
    let lab = Lab::new();
    lab.write(".gitignore", ".env\n");
    lab.write(
        ".env",
        "URL=${ATELIER_BASE_URL}/x\nWHO=${CILO_ENV}.${ATELIER_PROJECT}\nDB=localhost\n",
    );
    lab.write("settings.txt", "host=localhost\nmode=test\n");
    lab.git(&["add", "-A"]);
    lab.git(&["commit", "-q", "-m", "settings"]);
    lab.write(
        "atelier.yaml",
        "files:\n  render:\n  - file: .env\n    replace: [{from: localhost, to: 'db.${ATELIER_ENV}.${ATELIER_DNS_SUFFIX}'}]\n\
         \x20 - {file: settings.txt, replace: [{from: localhost, to: db}]}\n  - {file: missing.txt}\n",
    );
    let rendered = "URL=http://shop.a.test/x\nWHO=a.shop\nDB=db.a.test\n";
    assert_eq!(
        inside(&lab, "a", "cat .env settings.txt"),
        format!("{rendered}host=db\nmode=test\n")
    );
    assert!(lab.json(&["env", "show", "a"])["notes"].to_string().contains("missing.txt"));
    for all in [&["env", "diff", "a"][..], &["env", "diff", "a", "--all"]] {
        assert_eq!(lab.json(all)["files"].as_array().unwrap().len(), 0);
    }
    inside(&lab, "a", "echo MORE=1 >> .env; sed -i s/test/live/ settings.txt");
    lab.ok(&["env", "apply", "a", "--all"]);
    assert_eq!(lab.read("settings.txt"), "host=localhost\nmode=live\n");
    assert!(lab.read(".env").starts_with("URL=${ATELIER_BASE_URL}/x\n"), "{}", lab.read(".env"));
    assert!(lab.read(".env").ends_with("MORE=1\n"), "{}", lab.read(".env"));
    // A change in the project is rendered as it comes in.
    lab.write(".env", lab.read(".env") + "TWO=${ATELIER_ENV}\n");
    lab.ok(&["env", "sync", "a"]);
    assert_eq!(inside(&lab, "a", "cat .env"), format!("{rendered}MORE=1\nTWO=a\n"));
}

#[test]
fn rendered_lines_are_in_no_commit_of_an_apply() {
    let lab = Lab::new();
    lab.git(&["config", "user.name", "Test"]);
    lab.git(&["config", "user.email", "test@example.com"]);
    lab.write("settings.txt", "host=localhost\na\nb\nmode=test\n");
    lab.write(
        "atelier.yaml",
        "files: {render: [{file: settings.txt, replace: [{from: localhost, to: db}]}]}\n",
    );
    lab.git(&["add", "-A"]);
    lab.git(&["commit", "-q", "-m", "settings"]);
    inside(&lab, "a", "sed -i s/test/live/ settings.txt");
    lab.ok(&["env", "apply", "a", "--branch", "a"]);
    assert_eq!(lab.git(&["show", "a:settings.txt"]), "host=localhost\na\nb\nmode=live\n");
}

#[test]
fn secrets_are_fetched_once_and_what_the_command_says_is_kept_nowhere() {
    let lab = Lab::new();
    lab.write(".gitignore", ".secret\n");
    lab.write("atelier.yaml", "secrets: echo hunter-two | tee -a .secret; echo hunter-two >&2\ninit: cat .secret > /var/tmp/seen\n");
    lab.ok(&["env", "create", "a"]);
    let kept = std::process::Command::new("grep")
        .args(["-rlE", "--binary-files=text", "^hunter-two$"])
        .arg(lab.home().join("envs"))
        .arg(lab.home().join("serve.log"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&kept.stdout), "");
    assert!(!lab.json(&["env", "logs", "a"]).to_string().contains("hunter"));
    assert_eq!(inside(&lab, "a", "cat .secret /var/tmp/seen"), "hunter-two\nhunter-two\n");
    lab.ok(&["env", "stop", "a"]);
    assert_eq!(inside(&lab, "a", "wc -l < .secret"), "1\n");
    lab.write("atelier.yaml", "secrets: echo hunter-two; exit 9\n");
    let failed = lab.run(&["env", "create", "b"]);
    failed.fails(1, &["ended with 9"]);
    assert!(!failed.stderr.contains("hunter"), "{}", failed.stderr);
    assert_eq!(lab.ok(&["env", "ls", "-q"]), "a\n");
}

#[test]
fn a_bad_key_is_named_with_its_place() {
    let lab = Lab::new();
    lab.write("atelier.yaml", "name: shop\nfiles:\n  rendr: []\n");
    lab.run(&["env", "create", "a"]).fails(5, &["atelier.yaml:3:3", "render"]);
    lab.write("atelier.yaml", "files:\n  render:\n  - file: ../outside\n");
    lab.run(&["env", "create", "a"]).fails(5, &["atelier.yaml:3:", "../outside"]);
    lab.write("atelier.yaml", "files:\n  copy: some\n");
    lab.run(&["env", "create", "a"]).fails(5, &["atelier.yaml:2:", "all"]);
}
