//! `env recreate`.

use crate::support::{Lab, kill_control_plane};

fn inside(lab: &Lab, script: &str) -> String {
    lab.ok(&["run", "a", "--", "sh", "-c", script])
}

#[test]
fn it_is_made_anew_from_the_project_as_it_is_now_and_nothing_of_the_old_one_stays() {
    let lab = Lab::new();
    lab.write("atelier.yaml", "init: echo made >> /var/tmp/made\n");
    inside(&lab, "echo built > built.txt; echo x > /etc/machine-file");
    lab.run(&["env", "recreate", "a"]).fails(4, &["built.txt", "env apply a", "--force"]);
    assert_eq!(inside(&lab, "cat built.txt"), "built\n");
    lab.write("new.txt", "new\n");
    lab.ok(&["env", "recreate", "a", "--force"]);
    let seen =
        inside(&lab, "cat new.txt; ls built.txt /etc/machine-file 2>/dev/null; cat /var/tmp/made");
    assert_eq!(seen, "new\nmade\n");
    assert_eq!(lab.json(&["env", "diff", "a"])["files"].as_array().unwrap().len(), 0);
    let id = lab.json(&["env", "show", "a"])["id"].as_str().unwrap().to_owned();
    let layers = std::fs::read_dir(lab.home().join("sandboxes").join(id).join("layers")).unwrap();
    let names: Vec<_> = layers.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.iter().filter(|n| n.starts_with("workspace")).count(), 1, "{names:?}");
    assert!(!names.contains(&"aside".to_owned()), "{names:?}");
}

#[test]
fn what_it_is_made_from_may_be_another_commit() {
    let lab = Lab::new();
    lab.git(&["branch", "old"]);
    lab.write("later.txt", "later\n");
    lab.git(&["add", "-A"]);
    lab.git(&["commit", "-q", "-m", "later"]);
    assert!(inside(&lab, "ls").contains("later.txt"));
    lab.ok(&["env", "recreate", "a", "--from", "old"]);
    assert_eq!(inside(&lab, "ls"), "README.md\nsrc\n");
    assert_eq!(lab.json(&["env", "show", "a"])["from"], "old");
}

#[test]
fn one_whose_init_fails_is_as_it_was() {
    let lab = Lab::new();
    inside(&lab, "echo built > built.txt; echo x > /etc/machine-file");
    lab.write("atelier.yaml", "init: 'echo no; exit 3'\n");
    lab.run(&["env", "recreate", "a", "--force"]).fails(1, &["ended with 3"]);
    assert_eq!(
        inside(&lab, "cat built.txt /etc/machine-file; ls"),
        "built\nx\nREADME.md\nbuilt.txt\nsrc\n"
    );
}

#[test]
fn one_that_is_killed_is_the_old_one_or_the_new_one() {
    let lab = Lab::new();
    inside(&lab, "echo old > state.txt; echo old > /etc/state");
    lab.write("atelier.yaml", "init: sleep 0.1; echo new > state.txt; echo new > /etc/state\n");
    for round in 0..8_u64 {
        let mut recreate = lab.spawn(&["env", "recreate", "a", "--force"]);
        std::thread::sleep(std::time::Duration::from_millis(10 + 25 * round));
        kill_control_plane(&lab);
        let _ = recreate.wait();
        let seen = inside(&lab, "cat state.txt /etc/state");
        assert!(seen == "old\nold\n" || seen == "new\nnew\n", "round {round}: {seen:?}");
        let id = lab.json(&["env", "show", "a"])["id"].as_str().unwrap().to_owned();
        let layers =
            std::fs::read_dir(lab.home().join("sandboxes").join(id).join("layers")).unwrap();
        let names: Vec<_> = layers.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(names.iter().filter(|n| n.starts_with("workspace")).count(), 1, "{names:?}");
    }
    lab.ok(&["env", "recreate", "a", "--force"]);
    assert_eq!(inside(&lab, "cat state.txt /etc/state"), "new\nnew\n");
}

#[test]
fn one_with_a_limited_disk_begins_with_all_of_it() {
    let lab = Lab::new();
    lab.ok(&["run", "a", "--disk", "64MiB", "--", "sh", "-c", "head -c 20000000 /dev/zero > big"]);
    lab.ok(&["env", "recreate", "a", "--force"]);
    inside(&lab, "head -c 40000000 /dev/zero > bigger");
    lab.run(&["run", "a", "--", "sh", "-c", "head -c 60000000 /dev/zero > other 2>/dev/null"])
        .fails(1, &[]);
}
