//! Names, ids and the beginnings of ids; `ls` and its filters; `rename`.

use crate::support::Lab;

#[test]
fn a_sandbox_goes_by_its_name_its_id_and_the_beginning_of_its_id() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--name", "dev"]);
    assert_eq!(id.len(), 32, "{id}");
    for called in ["dev", &id, &id[..12], &id[..4]] {
        assert_eq!(lab.show(called)["id"], *id, "{called}");
    }
    // Three digits may be anybody's.
    lab.run(&["sandbox", "show", &id[..3]]).fails(3, &["sandbox ls"]);
}

#[test]
fn what_there_is_not_is_not_found() {
    let lab = Lab::with_image();
    for verb in ["show", "pause", "resume", "start", "stop", "snapshot", "fork", "metrics", "ps"] {
        lab.run(&["sandbox", verb, "nothing"]).fails(3, &["nothing", "hint:"]);
    }
    lab.run(&["sandbox", "exec", "nothing", "--", "true"]).fails(3, &["nothing"]);
    lab.run(&["sandbox", "rm", "--yes", "nothing"]).fails(3, &["nothing"]);
    lab.run(&["sandbox", "cp", "nothing:/etc/passwd", "."]).fails(3, &["nothing"]);
    lab.run(&["sandbox", "extend", "nothing", "1h"]).fails(3, &["nothing"]);
    lab.run(&["sandbox", "rename", "nothing", "new"]).fails(3, &["nothing"]);
}

#[test]
fn a_name_counts_more_than_the_beginning_of_an_id() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    let other = lab.sandbox(&["--name", &format!("x{}", &id[..4])]);
    lab.ok(&["sandbox", "rename", &other, &id[..8]]);
    assert_eq!(lab.show(&id[..8])["id"], *other);
    assert_eq!(lab.show(&id)["id"], *id);
    assert_eq!(lab.show(&id[..9])["id"], *id);
}

#[test]
fn a_name_belongs_to_one_sandbox() {
    let lab = Lab::with_image();
    let first = lab.sandbox(&["--name", "dev"]);
    lab.run(&["sandbox", "create", "--name", "dev"]).fails(4, &["dev", "hint:"]);
    let other = lab.sandbox(&["--name", "other"]);
    lab.run(&["sandbox", "rename", "other", "dev"]).fails(4, &["name"]);
    lab.ok(&["sandbox", "rename", "dev", "old"]);
    lab.ok(&["sandbox", "rename", "other", "dev"]);
    assert_eq!(lab.show("old")["id"], *first);
    assert_eq!(lab.show("dev")["id"], *other);
    lab.ok(&["sandbox", "rename", "dev", "--none"]);
    lab.run(&["sandbox", "show", "dev"]).fails(3, &["dev"]);
    lab.run(&["sandbox", "create", "--name", "No Good"]).fails(2, &["No Good"]);
}

#[test]
fn twenty_at_once_with_one_name_make_one() {
    let lab = Lab::with_image();
    lab.ok(&["sandbox", "ls"]);
    let creates: Vec<_> =
        (0..20).map(|_| lab.spawn(&["sandbox", "create", "--name", "dev"])).collect();
    let codes = creates.into_iter().map(|c| c.wait_with_output().unwrap().status.code().unwrap());
    let mut codes: Vec<_> = codes.collect();
    codes.sort_unstable();
    assert_eq!(codes[0], 0);
    assert!(codes[1..].iter().all(|code| *code == 4), "{codes:?}");
    assert_eq!(lab.json(&["sandbox", "ls"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_list_is_filtered_by_state_word_runtime_and_origin() {
    let lab = Lab::with_image();
    lab.sandbox(&["--name", "a", "--metadata", "team=red", "--metadata", "tier=web"]);
    lab.sandbox(&["--name", "b", "--metadata", "team=red"]);
    lab.ok(&["sandbox", "create", "--runtime", "host", "--name", "c"]);
    lab.ok(&["sandbox", "stop", "b"]);
    let names = |filter: &[&str]| {
        let mut names: Vec<String> = lab
            .ok(&[&["sandbox", "ls", "-q"], filter].concat())
            .lines()
            .map(str::to_owned)
            .collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(names(&[]), "a b c");
    assert_eq!(names(&["--state", "running"]), "a c");
    assert_eq!(names(&["--state", "running", "--state", "stopped"]), "a b c");
    assert_eq!(names(&["--metadata", "team=red"]), "a b");
    assert_eq!(names(&["--metadata", "team=red", "--metadata", "tier=web"]), "a");
    assert_eq!(names(&["--runtime", "host"]), "c");
    assert_eq!(names(&["--from", "box"]), "a b");
    assert_eq!(names(&["--metadata", "team=blue"]), "");
    assert_eq!(lab.show("a")["metadata"]["tier"], "web");
}

#[test]
fn several_are_removed_and_what_fails_is_said() {
    let lab = Lab::with_image();
    for name in ["a", "b", "c"] {
        lab.sandbox(&["--name", name]);
    }
    let done = lab.run(&["sandbox", "rm", "--yes", "a", "nothing", "b"]);
    done.fails(3, &["nothing"]);
    assert_eq!(lab.ok(&["sandbox", "ls", "-q"]), "c\n");
    lab.ok(&["sandbox", "rm", "--all", "--yes"]);
    assert_eq!(lab.ok(&["sandbox", "ls", "-q"]), "");
}
