//! Several machines, several commands at once, bad disks, ATK's home.

#![allow(clippy::unwrap_used, clippy::panic)]

// The homes and registries of the lower crate's tests.
#[path = "../../atelier-tools/tests/support/mod.rs"]
mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use atelier_api::Fault;
use atelier_toolrun::secrets;
use atelier_tools::verbs::{self, ImportOptions, Way};
use atelier_tools::{Cancel, Context, Home, NoHooks, ToolsError};
use support::*;

fn shared(world: &World) -> Home {
    let bare = world.folder.path().join("shared.git");
    git(world.folder.path(), &["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()]);
    git(world.home.root(), &["remote", "add", "origin", bare.to_str().unwrap()]);
    verbs::sync(&world.home, Way::Push, &context(&NoHooks, QUIET)).unwrap();
    let other = Home::below(world.folder.path().join("other"));
    std::fs::create_dir_all(other.root().parent().unwrap()).unwrap();
    git(
        world.folder.path(),
        &["clone", "-q", bare.to_str().unwrap(), other.root().to_str().unwrap()],
    );
    verbs::init(&other, None, &context(&NoHooks, QUIET)).unwrap();
    other
}

#[test]
fn two_machines_exchange_what_they_have() {
    let world = World::new();
    let other = shared(&world);
    let context = context(&NoHooks, QUIET);
    world.add("echo").unwrap();
    assert_eq!(verbs::sync(&world.home, Way::Both, &context).unwrap().pushed, 1);
    let synced = verbs::sync(&other, Way::Both, &context).unwrap();
    assert_eq!((synced.pulled, synced.changed.as_slice()), (1, ["echo".to_owned()].as_slice()));
    assert_eq!(snapshot(other.root()), world.snapshot());
    // Both change something: ours goes on top of theirs.
    verbs::profile_create(&other, "work", &["echo".to_owned()], &context).unwrap();
    write(&world.home.root().join("plugins/echo/custom/overrides.yaml"), "description: mine\n");
    git(world.home.root(), &["add", "-A"]);
    git(world.home.root(), &["commit", "-qm", "mine"]);
    verbs::sync(&world.home, Way::Both, &context).unwrap();
    assert_eq!(verbs::sync(&other, Way::Push, &context).unwrap_err().exit().code(), 7);
    let synced = verbs::sync(&other, Way::Both, &context).unwrap();
    assert_eq!((synced.pulled, synced.pushed), (1, 1));
    assert!(other.root().join("plugins/echo/custom/overrides.yaml").exists());
}

#[test]
fn changes_that_meet_are_left_to_the_user_and_change_nothing() {
    let world = World::new();
    let other = shared(&world);
    let context = context(&NoHooks, QUIET);
    for (home, text) in [(&world.home, "a"), (&other, "b")] {
        let yaml = std::fs::read_to_string(home.manifest_file()).unwrap();
        write(&home.manifest_file(), &format!("# {text}\n{yaml}"));
        git(home.root(), &["commit", "-qam", text]);
    }
    verbs::sync(&world.home, Way::Both, &context).unwrap();
    let before = snapshot(other.root());
    let error = verbs::sync(&other, Way::Both, &context).unwrap_err();
    assert!(error.exit().code() == 7 && error.to_string().contains("meet"), "{error}");
    assert_eq!(snapshot(other.root()), before);
    assert_eq!(git(other.root(), &["status", "--porcelain"]), "");
}

#[test]
fn a_second_writer_is_told_who_is_at_work_and_readers_do_not_wait() {
    let world = World::new();
    let shell = Shell(&world.home);
    let seen = std::cell::Cell::new(0);
    let progress = |now: atelier_tools::Progress<'_>| {
        if now.phase == "prepared" {
            let error = world.add("service").unwrap_err();
            let pid = std::process::id().to_string();
            assert!(
                matches!(&error, ToolsError::Busy { pid: p, doing } if *p == pid && doing == "tool add echo"),
                "{error}"
            );
            assert_eq!(error.exit().code(), 4);
            assert!(verbs::ls(&world.home).unwrap().is_empty());
            seen.set(seen.get() + 1);
        }
    };
    verbs::add(&world.home, &world.options("echo"), &context(&shell, &progress)).unwrap();
    assert_eq!(seen.get(), 1);
    world.add("service").unwrap();
}

#[test]
fn an_interrupt_at_any_step_leaves_nothing_behind() {
    let world = World::new();
    let before = world.snapshot();
    for phase in ["fetching", "asking", "prepared", "placing", "hooks", "committing"] {
        let cancel = Cancel::default();
        let progress = |now: atelier_tools::Progress<'_>| {
            if now.phase == phase {
                cancel.cancel();
            }
        };
        let shell = Shell(&world.home);
        let context = Context { cancel: cancel.clone(), ..context(&shell, &progress) };
        let error = verbs::add(&world.home, &world.options("service"), &context).unwrap_err();
        assert!(matches!(error, ToolsError::Cancelled), "{phase}: {error}");
        assert_eq!(world.snapshot(), before, "{phase}");
        world.assert_clean();
    }
}

#[test]
fn a_home_is_made_in_an_empty_place_or_taken_up_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(&NoHooks, QUIET);
    let home = Home::below(folder.path().join("a"));
    let made = verbs::init(&home, None, &context).unwrap();
    assert!(!made.existing && made.commit.is_some());
    assert_eq!(std::fs::metadata(home.root()).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(verbs::init(&home, None, &context).unwrap().existing, "again is fine");
    for (name, file) in [("b", "photo.jpg"), ("c", "manifest.yaml")] {
        let home = Home::below(folder.path().join(name));
        write(&home.root().join(file), "x");
        let error = verbs::init(&home, None, &context).unwrap_err();
        assert_eq!((error.code(), error.exit().code()), ("tool.not_a_home", 4));
    }
    let error = verbs::ls(&Home::below(folder.path().join("none"))).unwrap_err();
    assert_eq!(error.exit().code(), 8);
}

/// A small filesystem of its own; nothing where this user may not mount one.
struct Small(tempfile::TempDir);

impl Small {
    fn new(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(folder.path())
            .status();
        mount.is_ok_and(|s| s.success()).then_some(Self(folder))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_changes_nothing() {
    let world = World::new();
    let Some(small) = Small::new("size=1m") else { return };
    let home = Home::below(small.0.path());
    let context = context(&NoHooks, QUIET);
    verbs::init(&home, Some(&world.url()), &context).unwrap();
    let big = world.folder.path().join("big");
    plugin(&big, "Big", "");
    for filler in [4000, 300, 200, 150, 100, 60, 30] {
        write(&big.join("filler"), &"x".repeat(filler * 1024));
        let before = snapshot(home.root());
        if let Err(error) = verbs::add(&home, &world.options("./big"), &context) {
            assert!(error.to_string().contains("space") || error.code() == "tool.git", "{error}");
            assert_eq!(snapshot(home.root()), before, "{filler}");
        } else {
            verbs::remove(&home, "big", &verbs::RemoveOptions::default(), &context).ok();
        }
    }
    // There is room for a small one.
    std::fs::remove_file(big.join("filler")).unwrap();
    verbs::add(&home, &world.options("./big"), &context).unwrap();
    assert_eq!(git(home.root(), &["status", "--porcelain"]), "");
}

#[test]
fn a_home_that_is_read_only_can_be_looked_at() {
    let Some(small) = Small::new("size=8m") else { return };
    let world = World::new();
    let home = Home::below(small.0.path());
    let context = context(&NoHooks, QUIET);
    verbs::init(&home, Some(&world.url()), &context).unwrap();
    verbs::add(&home, &world.options("echo"), &context).unwrap();
    assert!(
        Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(small.0.path())
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(verbs::ls(&home).unwrap().len(), 1);
    verbs::show(&home, "echo").unwrap();
    let error = verbs::add(&home, &world.options("service"), &context).unwrap_err();
    assert_eq!(error.exit().code(), 10, "{error}");
}

#[test]
fn a_home_of_atk_comes_over_and_is_left_as_it_was() {
    let world = World::new();
    let atk = world.folder.path().join("atk");
    let pinned = git(&world.registry, &["rev-parse", "HEAD"]);
    write(&world.registry.join("plugins/service/mcp.sh"), "newer");
    commit(&world.registry, "newer");
    write(
        &atk.join("manifest.yaml"),
        &format!(
            "schema_version: '2026-02-06'\nconfig: {{auto_commit: true}}\nplugins:\n- name: Service\n  directory: service\n  source: {{type: registry, ref: {pinned}}}\n- name: Mine\n  directory: mine\n  source: {{type: local}}\n- name: Bad\n  directory: ../../etc\n  source: {{type: local}}\n"
        ),
    );
    write(&atk.join("plugins/service/.atk-ref"), &format!("{pinned}\n"));
    write(&atk.join("plugins/service/.env"), "TOKEN='a b'\nURL=http://x\n");
    write(&atk.join("plugins/service/custom/overrides.yaml"), "description: mine\n");
    plugin(&atk.join("plugins/mine"), "Mine", "");
    write(&atk.join("plugins/mine/.env"), "");
    write(&world.folder.path().join(".claude.json"), "{\"mcpServers\": {\"Service\": {}}}");
    let before = snapshot(&atk);
    let keep =
        |slug: &atelier_tools::Slug, plugin: &atelier_plugin::Plugin, file: &std::path::Path| {
            let kept = secrets::import_env(&world.home, slug, plugin, file, &[], |_| None).unwrap();
            let names = kept.plain.into_iter().chain(kept.secret).collect();
            Ok(verbs::Kept { names, refused: kept.refused, files: kept.files })
        };
    let options =
        ImportOptions { from: atk.clone(), user: world.folder.path().to_owned(), keep: &keep };
    let shell = Shell(&world.home);
    let import = verbs::import_atk(&world.home, &options, &context(&shell, QUIET)).unwrap();
    assert_eq!(snapshot(&atk), before);
    let failed: Vec<_> = import.tools.iter().map(|t| t.failed.is_some()).collect();
    assert_eq!(failed, [false, false, true], "{import:?}");
    assert_eq!(import.tools[0].settings, ["TOKEN", "URL"]);
    let log = git(world.home.root(), &["log", "-p", "--format=%s"]);
    assert!(
        log.contains("tool import-atk service: settings") && log.contains("secrets/service.yaml")
    );
    assert!(!log.contains("a b"), "a secret is in the history");
    let folder = world.home.root().join("plugins/service");
    assert_eq!(
        std::fs::read_to_string(folder.join("mcp.sh")).unwrap(),
        "#!/bin/sh\nexec cat\n",
        "the pinned one"
    );
    assert!(folder.join("custom/overrides.yaml").exists() && !folder.join("data.log").exists());
    assert_eq!(import.wiring[0].agent, "claude");
    world.assert_clean();
    // It follows its registry from here on.
    let upgraded = verbs::upgrade(
        &world.home,
        "service",
        &verbs::UpgradeOptions::default(),
        &context(&shell, QUIET),
    )
    .unwrap();
    assert_eq!(upgraded.files, ["mcp.sh"]);
}
