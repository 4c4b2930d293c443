//! Many at once, and many one after the other.

use std::fs;

use crate::support::{Lab, Traces, serving, wait_until};

#[test]
fn fifty_at_once_are_all_whole_at_scale() {
    let lab = Lab::with_image();
    lab.ok(&["sandbox", "run", "box", "--", "true"]);
    let before = Traces::of(&lab.home());
    let names: Vec<String> = (0..50).map(|n| format!("s{n}")).collect();
    let creates: Vec<_> =
        names.iter().map(|name| lab.spawn(&["sandbox", "create", "--name", name])).collect();
    for create in creates {
        let output = create.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(lab.json(&["sandbox", "ls", "--state", "running"]).as_array().unwrap().len(), 50);
    for name in &names {
        assert_eq!(lab.sh(name, &format!("echo {name} > /srv/me; cat /etc/group | wc -l")), "2\n");
    }
    for name in &names {
        assert_eq!(lab.sh(name, "cat /srv/me"), format!("{name}\n"));
    }
    lab.ok(&["sandbox", "rm", "--all", "--yes"]);
    before.wait_until_nothing_more(&lab.home());
}

#[test]
fn a_hundred_one_after_the_other_leak_nothing() {
    let lab = Lab::with_image();
    // What is made once and kept is made by the first few.
    for _ in 0..3 {
        lab.ok(&["sandbox", "run", "box", "--", "true"]);
    }
    let pid = serving(&lab).unwrap();
    let open = || fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let (before, files) = (Traces::of(&lab.home()), open());
    for _ in 0..100 {
        let id = lab.sandbox(&[]);
        lab.ok(&["sandbox", "rm", "--yes", &id]);
    }
    assert_eq!(serving(&lab), Some(pid), "it is still the same one");
    before.wait_until_nothing_more(&lab.home());
    wait_until("its files are closed", || open() <= files + 3);
}
