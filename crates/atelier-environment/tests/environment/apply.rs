//! Bringing changes back into the working tree.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use atelier_api::{ExitCode, Fault};
use atelier_environment::{ApplyOptions, Error, Workspace, apply, recover_apply};

use crate::support::{World, inside, sh};

fn bring(world: &World, workspace: &Workspace) -> atelier_environment::Applied {
    apply(workspace, &world.project(), &ApplyOptions::default()).unwrap()
}

fn refused(world: &World, workspace: &Workspace) -> Vec<String> {
    let error = apply(workspace, &world.project(), &ApplyOptions::default()).unwrap_err();
    assert_eq!(error.exit(), ExitCode::Conflict);
    match error {
        Error::Conflict { conflicts, .. } => conflicts.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_kind_of_change_comes_back_and_a_second_time_changes_nothing() {
    let world = World::git(&[
        ("a", "1\n"),
        ("b", "2\n"),
        ("run", "x\n"),
        ("d/x", "x\n"),
        ("d/y", "y\n"),
        ("f", "f\n"),
        ("only/one", "1\n"),
    ]);
    world.sh("chown -R 1234:1234 .; chmod 640 a");
    let workspace = world.create("e");
    inside(
        &workspace,
        "echo one > a; rm b; chmod +x run; rm -r d; echo file > d; rm f; mkdir f; echo in > f/in
        mkdir -p new/deep; echo n > new/deep/n; ln -s a link; printf '\\0' > bin; echo q > 'odd
name'; rm only/one; rmdir only",
    );
    let applied = bring(&world, &workspace);
    assert_eq!(applied.changed.len(), 13, "{applied:?}");
    assert_eq!(
        world.sh("cat a d f/in new/deep/n 'odd\nname'; readlink link; ls"),
        "one\nfile\nin\nn\nq\na\na\nbin\nd\nf\nlink\nnew\nodd\nname\nrun\n"
    );
    let meta = |path: &str| world.root.join(path).metadata().unwrap();
    assert_eq!(meta("a").permissions().mode() & 0o777, 0o640);
    assert_eq!(meta("run").permissions().mode() & 0o111, 0o111);
    assert_eq!((meta("a").uid(), meta("new/deep/n").uid(), meta("new").uid()), (1234, 1234, 1234));

    let stamp = world.listing();
    let again = bring(&world, &workspace);
    assert_eq!((again.changed.len(), again.unchanged), (0, 13));
    assert_eq!(world.listing(), stamp);
}

#[test]
fn changes_in_different_places_of_one_file_are_merged() {
    let lines: String = (1..=20).map(|n| format!("{n}\n")).collect();
    let world = World::git(&[("a", &lines), ("gone", "g\n")]);
    let workspace = world.create("e");
    inside(&workspace, "sed -i 's/^2$/env/' a; rm gone");
    world.sh("sed -i 's/^18$/user/' a; chmod +x a; rm gone");
    let applied = bring(&world, &workspace);
    assert_eq!((applied.merged, applied.unchanged), (vec!["a".to_owned()], 1));
    assert_eq!(world.sh("sed -n '2p;18p' a; test -x a && echo exec"), "env\nuser\nexec\n");
    assert_eq!(bring(&world, &workspace).changed.len(), 0);

    // Further work on both sides merges against what was applied, not against the snapshot.
    world.sh("sed -i 's/^env$/env, edited/' a");
    inside(&workspace, "sed -i 's/^10$/more/' a");
    assert_eq!(bring(&world, &workspace).changed, ["a"]);
    assert_eq!(world.sh("sed -n '2p;10p;18p' a"), "env, edited\nmore\nuser\n");
}

#[test]
fn what_was_undone_in_the_project_can_be_applied_again() {
    let world = World::git(&[("a", "1\n")]);
    let workspace = world.create("e");
    inside(&workspace, "echo env > a; echo n > n");
    bring(&world, &workspace);
    world.sh("git checkout -q .; git clean -fdq");
    assert_eq!(bring(&world, &workspace).changed, ["a", "n"]);
}

#[test]
fn a_conflict_anywhere_refuses_everything_and_says_where() {
    let world = World::git(&[
        ("a", "1\n2\n3\n"),
        ("b", "b\n"),
        ("c", "c\n"),
        ("bin", "\0"),
        ("dir/x", "x\n"),
        ("fine", "1\n"),
        ("up/x", "x\n"),
    ]);
    let workspace = world.create("e");
    inside(
        &workspace,
        "printf '1\ntwo\n3\n' > a; rm b; echo C > c; printf '\\0\\1' > bin; rm -r dir; echo f > dir
        echo 2 > fine; echo new > both; echo y > up/y",
    );
    world.sh("printf '0\n1\nII\n3\n' > a; echo B > b; rm c; printf '\\0\\2' > bin; echo z > dir/z; echo user > both
        rm -r up; ln -s /tmp up");
    let before = world.listing();
    let conflicts = refused(&world, &workspace);
    assert_eq!(
        conflicts,
        [
            "a:3 (both changed these lines)",
            "b (changed in the project, deleted in the environment)",
            "bin (a binary file that both sides changed)",
            "both (added on both sides)",
            "c (deleted in the project, changed in the environment)",
            "dir (the project has a folder there)",
            "up/y (a folder above it is a file or a symlink in the project)",
        ]
    );
    assert_eq!(world.listing(), before, "nothing is touched");
}

#[test]
fn a_dry_run_says_and_does_not() {
    let world = World::git(&[("a", "1\n")]);
    let workspace = world.create("e");
    inside(&workspace, "echo 2 > a");
    let before = world.listing();
    let options = ApplyOptions { dry_run: true, ..ApplyOptions::default() };
    let applied = apply(&workspace, &world.project(), &options).unwrap();
    assert_eq!(applied.changed, ["a"]);
    assert_eq!(world.listing(), before);
}

#[test]
fn a_failure_half_way_puts_everything_back() {
    let world = World::git(&[("a", "1\n"), ("b", "2\n"), ("z/locked", "3\n")]);
    let workspace = world.create("e");
    inside(
        &workspace,
        "echo A > a; rm b; echo n > n; mkdir -p new/d; echo x > new/d/x; echo Z > z/locked",
    );
    let before = world.listing();
    // An immutable file cannot be replaced, not even by root.
    let marked =
        std::process::Command::new("chattr").args(["+i"]).arg(world.root.join("z/locked")).status();
    if !marked.is_ok_and(|s| s.success()) {
        return;
    }
    let result = apply(&workspace, &world.project(), &ApplyOptions::default());
    sh(&world.root, "chattr -i z/locked");
    assert!(result.is_err());
    let without_times =
        |s: String| s.lines().filter(|l| !l.contains(" d ")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(without_times(world.listing()), without_times(before));
    assert!(!workspace.layer_dir().join("apply.journal").exists());
    assert_eq!(bring(&world, &workspace).changed.len(), 5);
}

#[test]
fn an_apply_that_was_killed_is_taken_back_by_the_next() {
    let world = World::git(&[("a", "1\n"), ("b", "2\n"), ("c", "3\n")]);
    let workspace = world.create("e");
    inside(&workspace, "echo A > a; rm b; echo C > c; mkdir d; echo n > d/n");
    // What a kill in the middle leaves: `a` replaced, `b` moved away, `d` made, `c` still to do.
    world.sh("mkdir .stage; echo A > .stage/n0; ln a .stage/o0; mv .stage/n0 a; mv b .stage/o1; mkdir d; echo C > .stage/n2");
    let stat = |path: &str| {
        let meta = world.root.join(path).metadata().unwrap();
        serde_json::json!([
            meta.ino(),
            meta.size(),
            meta.mtime() * 1_000_000_000 + meta.mtime_nsec()
        ])
    };
    let bytes = |text: &str| text.as_bytes().to_vec();
    let journal = serde_json::json!({
        "done": false, "stages": [bytes(".stage")], "folders": [bytes("d")], "emptied": [],
        "moves": [
            {"path": bytes("a"), "stage": 0, "number": 0, "delete": false, "staged": stat("a")},
            {"path": bytes("b"), "stage": 0, "number": 1, "delete": true, "staged": null},
            {"path": bytes("c"), "stage": 0, "number": 2, "delete": false, "staged": stat(".stage/n2")},
        ],
    });
    std::fs::write(workspace.layer_dir().join("apply.journal"), journal.to_string()).unwrap();
    assert!(recover_apply(&workspace, &world.project()).unwrap());
    assert_eq!(world.sh("cat a b c; ls -A"), "1\n2\n3\n.git\na\nb\nc\n");
    assert!(!recover_apply(&workspace, &world.project()).unwrap());
    assert_eq!(bring(&world, &workspace).changed.len(), 4);
}
