//! `kill -9` at every phase of every change: the next command finds the home as it was, or the change whole.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use atelier_tools::verbs::{self, RemoveOptions};
use atelier_tools::{Home, Progress};
use rustix::process::{Signal, getpid, kill_process};
use support::*;

/// Not a test: what the tests below run as another process, which kills itself at a phase.
#[test]
#[ignore = "not a test: the process that the others kill"]
fn child() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (verb, phase) = (variable("TEST_VERB"), variable("TEST_PHASE"));
    let (phase, nth) = phase.split_once('#').unwrap();
    let home = Home::below(variable("TEST_HOME"));
    let (nth, seen) = (nth.parse::<usize>().unwrap(), std::cell::Cell::new(0));
    let progress = |now: Progress<'_>| {
        if now.phase == phase {
            seen.set(seen.get() + 1);
            if seen.get() == nth {
                kill_process(getpid(), Signal::KILL).unwrap();
            }
        }
    };
    run(&home, &verb, &progress);
    // The phase is not one of this verb.
    std::process::exit(0);
}

fn run(home: &Home, verb: &str, progress: &dyn Fn(Progress<'_>)) {
    let shell = Shell(home);
    let context = context(&shell, progress);
    match verb {
        "add" => {
            let folder = home.root().to_owned();
            let options =
                verbs::AddOptions { what: "service".into(), folder, slug: None, scripts: false };
            verbs::add(home, &options, &context).unwrap();
        }
        "remove" => {
            verbs::remove(home, "service", &RemoveOptions::default(), &context).unwrap();
        }
        "upgrade" => {
            verbs::upgrade(home, "service", &verbs::UpgradeOptions::default(), &context).unwrap();
        }
        other => panic!("{other}"),
    }
}

/// Runs a verb in a process that dies at the `nth` time of a phase. Whether it did.
fn killed(home: &Home, verb: &str, phase: &str, nth: usize) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
        .env("TEST_HOME", home.root().parent().unwrap())
        .env("TEST_VERB", verb)
        .env("TEST_PHASE", format!("{phase}#{nth}"))
        .output()
        .unwrap()
        .status;
    assert!(status.signal() == Some(9) || status.code() == Some(0), "{verb} {phase}: {status:?}");
    status.signal() == Some(9)
}

const PHASES: &[(&str, usize)] = &[
    ("fetching", 2),
    ("asking", 1),
    ("locking", 1),
    ("stopping", 1),
    ("uninstalling", 1),
    ("unplugging", 1),
    ("prepared", 1),
    ("placing", 1),
    ("placed", 1),
    ("placed", 2),
    ("placed", 3),
    ("placed", 4),
    ("hooks", 1),
    ("committing", 1),
    ("cleaning", 1),
];

#[test]
fn an_add_that_was_killed_is_whole_or_was_never_there() {
    let world = World::new();
    let before = world.snapshot();
    let mut died = 0;
    for (phase, nth) in PHASES {
        if !killed(&world.home, "add", phase, *nth) {
            verbs::remove(
                &world.home,
                "service",
                &RemoveOptions::default(),
                &context(&Shell(&world.home), QUIET),
            )
            .unwrap();
            continue;
        }
        died += 1;
        // Any next writer tidies up; this one finds nothing to remove or everything.
        let removed = verbs::remove(
            &world.home,
            "service",
            &RemoveOptions::default(),
            &context(&Shell(&world.home), QUIET),
        );
        let whole = ["committing", "cleaning"].contains(phase);
        assert_eq!(removed.is_ok(), whole, "{phase} {nth}: {removed:?}");
        world.assert_clean();
        assert_eq!(world.snapshot(), before, "{phase} {nth}");
    }
    assert!(died >= 9, "{died}");
}

#[test]
fn a_remove_that_was_killed_is_whole_or_never_began() {
    let world = World::new();
    let mut died = 0;
    for (phase, nth) in PHASES {
        world.add("service").unwrap();
        write(&world.home.root().join("plugins/service/running"), "");
        if !killed(&world.home, "remove", phase, *nth) {
            continue;
        }
        died += 1;
        world.add("echo").unwrap();
        let left = verbs::ls(&world.home).unwrap().iter().any(|row| row.slug.as_str() == "service");
        let begun =
            !["asking", "stopping", "uninstalling", "unplugging", "prepared"].contains(phase);
        assert_eq!(left, !begun, "{phase} {nth}");
        let folder = world.home.root().join("plugins/service");
        assert_eq!(folder.join("plugin.yaml").exists(), left, "{phase} {nth}");
        world.assert_clean();
        for slug in ["service", "echo"] {
            let _ = verbs::remove(
                &world.home,
                slug,
                &RemoveOptions { purge: true, force: true },
                &context(&Shell(&world.home), QUIET),
            );
        }
    }
    assert!(died >= 8, "{died}");
}

#[test]
fn an_upgrade_that_was_killed_leaves_the_old_one_or_the_new_one_running() {
    let mut died = 0;
    for (phase, nth) in PHASES {
        let world = World::new();
        world.add("service").unwrap();
        let folder = world.home.root().join("plugins/service");
        write(&folder.join("running"), "");
        write(&folder.join("data/db.sqlite"), "rows");
        let old = std::fs::read_to_string(folder.join("mcp.sh")).unwrap();
        write(&world.registry.join("plugins/service/mcp.sh"), "new");
        write(&world.registry.join("plugins/service/more/lib.sh"), "new");
        commit(&world.registry, "new");
        if !killed(&world.home, "upgrade", phase, *nth) {
            continue;
        }
        died += 1;
        world.add("echo").unwrap();
        let whole = ["committing", "cleaning"].contains(phase);
        let expected = if whole { "new" } else { old.as_str() };
        assert_eq!(
            std::fs::read_to_string(folder.join("mcp.sh")).unwrap(),
            expected,
            "{phase} {nth}"
        );
        assert_eq!(folder.join("more/lib.sh").exists(), whole, "{phase} {nth}");
        assert!(folder.join("running").exists(), "{phase} {nth}: it ran before");
        assert_eq!(std::fs::read_to_string(folder.join("data/db.sqlite")).unwrap(), "rows");
        assert!(verbs::show(&world.home, "service").unwrap().modified.is_empty(), "{phase} {nth}");
        world.assert_clean();
    }
    assert!(died >= 9, "{died}");
}
