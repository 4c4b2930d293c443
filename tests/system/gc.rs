//! `atelier gc`.

use crate::support::Lab;

fn gc(lab: &Lab, args: &[&str]) -> serde_json::Value {
    lab.json(&[&["gc"], args].concat())
}

fn names(report: &serde_json::Value, of: &str) -> Vec<String> {
    let all = report[of].as_array().unwrap();
    all.iter().map(|env| env["name"].as_str().unwrap().to_owned()).collect()
}

fn left(lab: &Lab) -> Vec<String> {
    let mut names: Vec<_> = lab.ok(&["env", "ls", "-q"]).lines().map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn old_environments_go_and_those_with_changes_or_in_use_stay() {
    let lab = Lab::new();
    lab.ok(&["run", "clean", "--", "true"]);
    lab.ok(&["run", "changed", "--", "sh", "-c", "echo x > x"]);
    let mut client = lab.spawn(&["run", "used", "--", "sleep", "1000"]);
    crate::support::wait_until("it runs", || {
        lab.run(&["env", "show", "used", "--json"]).stdout.contains("\"sleep\"")
    });
    assert_eq!(names(&gc(&lab, &["--dry-run"]), "environments"), Vec::<String>::new());
    assert_eq!(
        names(&gc(&lab, &["--dry-run", "--older-than", "7d"]), "environments"),
        Vec::<String>::new()
    );
    let wait = std::time::Instant::now();
    crate::support::wait_until("a second has passed", || wait.elapsed().as_millis() > 1100);
    let dry = gc(&lab, &["--dry-run", "--older-than", "1s"]);
    assert_eq!(names(&dry, "environments"), ["clean"]);
    let mut kept = names(&dry, "kept");
    kept.sort();
    assert_eq!(kept, ["changed", "used"]);
    assert_eq!(left(&lab), ["changed", "clean", "used"], "a dry run removes nothing");
    lab.run(&["gc", "--older-than", "1s"]).fails(2, &["clean", "--yes"]);
    let done = gc(&lab, &["--yes", "--older-than", "1s"]);
    assert_eq!(names(&done, "environments"), ["clean"]);
    gc(&lab, &["--yes", "--force", "--older-than", "1s"]);
    assert_eq!(left(&lab), ["used"], "what is in use stays even then");
    lab.ok(&["env", "stop", "used"]);
    let _ = client.wait();
}

#[test]
fn environments_whose_branch_is_merged_or_deleted_go() {
    let lab = Lab::new();
    lab.git(&["config", "user.name", "Test"]);
    lab.git(&["config", "user.email", "test@example.com"]);
    for name in ["merged", "deleted", "open"] {
        lab.ok(&["run", name, "--", "sh", "-c", "echo $ATELIER_ENV > $ATELIER_ENV.txt"]);
        lab.ok(&["env", "apply", name, "--branch", &format!("work/{name}")]);
    }
    lab.ok(&["env", "create", "fresh"]);
    lab.git(&["merge", "-q", "--no-edit", "work/merged"]);
    lab.git(&["branch", "-q", "-D", "work/deleted"]);
    let dry = gc(&lab, &["--dry-run", "--merged"]);
    let said = dry.to_string();
    assert!(said.contains("work/merged is merged into main"), "{said}");
    assert!(said.contains("work/deleted was deleted"), "{said}");
    gc(&lab, &["--yes", "--merged"]);
    assert_eq!(left(&lab), ["fresh", "open"]);
}

#[test]
fn those_used_longest_ago_go_until_enough_of_the_disk_is_free() {
    let lab = Lab::new();
    for name in ["a", "b"] {
        lab.ok(&["env", "create", name]);
    }
    assert_eq!(
        names(&gc(&lab, &["--dry-run", "--disk", "0%"]), "environments"),
        Vec::<String>::new()
    );
    assert_eq!(
        names(&gc(&lab, &["--dry-run", "--disk", "1KiB"]), "environments"),
        Vec::<String>::new()
    );
    assert_eq!(names(&gc(&lab, &["--dry-run", "--disk", "100%"]), "environments"), ["a", "b"]);
    lab.run(&["gc", "--disk", "120%"]).fails(2, &["120%"]);
}
