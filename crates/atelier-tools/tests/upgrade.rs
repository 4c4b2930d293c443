//! Upgrades: beside the old one, swapped whole, taken back whole.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use atelier_api::Fault;
use atelier_tools::ToolsError;
use atelier_tools::verbs::{self, Prefer, UpgradeOptions, Upgraded};
use support::*;

fn upgrade(world: &World, prefer: Prefer) -> atelier_tools::Result<Upgraded> {
    let options = UpgradeOptions { to: None, prefer };
    verbs::upgrade(&world.home, "service", &options, &context(&Shell(&world.home), QUIET))
}

fn upstream(world: &World, file: &str, text: &str) {
    write(&world.registry.join("plugins/service").join(file), text);
    commit(&world.registry, "next");
}

fn here(world: &World, file: &str) -> String {
    std::fs::read_to_string(world.home.plugins().join("service").join(file)).unwrap_or_default()
}

#[test]
fn data_and_the_users_files_stay_and_new_files_come() {
    let world = World::new();
    world.add("service").unwrap();
    write(&world.home.plugins().join("service/data/db.sqlite"), "rows");
    write(&world.home.plugins().join("service/custom/overrides.yaml"), "description: mine\n");
    write(&world.home.plugins().join("service/running"), "");
    upstream(&world, "lib/new.sh", "new");
    std::fs::remove_file(world.registry.join("plugins/service/mcp.sh")).unwrap();
    commit(&world.registry, "next");
    let upgraded = upgrade(&world, Prefer::Neither).unwrap();
    assert_eq!(upgraded.files, ["lib/new.sh", "mcp.sh"]);
    assert_eq!(
        (here(&world, "lib/new.sh").as_str(), here(&world, "data/db.sqlite").as_str()),
        ("new", "rows")
    );
    assert!(!world.home.plugins().join("service/mcp.sh").exists());
    assert!(world.home.plugins().join("service/running").exists(), "it ran before, so it runs");
    assert!(world.log()[0].starts_with("tool upgrade service (registry default, "));
}

#[test]
fn nothing_new_is_no_change_at_all() {
    let world = World::new();
    world.add("service").unwrap();
    write(&world.registry.join("plugins/echo/more"), "another tool's");
    commit(&world.registry, "next");
    let (before, log) = (world.snapshot(), world.log());
    assert!(upgrade(&world, Prefer::Neither).unwrap().same);
    assert_eq!((world.snapshot(), world.log()), (before, log));
    world.assert_clean();
}

#[test]
fn what_the_user_edited_is_kept_or_asked_about() {
    let world = World::new();
    world.add("service").unwrap();
    // Only the user changed this one.
    write(&world.home.plugins().join("service/mcp.sh"), "mine");
    upstream(&world, "other.sh", "1");
    assert_eq!(upgrade(&world, Prefer::Neither).unwrap().kept, ["mcp.sh"]);
    assert_eq!(here(&world, "mcp.sh"), "mine");
    // Both did.
    upstream(&world, "mcp.sh", "theirs");
    let error = upgrade(&world, Prefer::Neither).unwrap_err();
    assert!(matches!(&error, ToolsError::Edited { files, .. } if *files == ["mcp.sh"]), "{error}");
    assert_eq!(here(&world, "mcp.sh"), "mine");
    assert_eq!(upgrade(&world, Prefer::Ours).unwrap().kept, ["mcp.sh"]);
    assert_eq!(here(&world, "mcp.sh"), "mine");
    upstream(&world, "mcp.sh", "theirs again");
    let replaced = upgrade(&world, Prefer::Theirs).unwrap().replaced;
    assert_eq!(here(&world, "mcp.sh"), "theirs again");
    assert_eq!(std::fs::read_to_string(&replaced[0]).unwrap(), "mine");
}

#[test]
fn data_where_a_new_file_would_go_is_not_overwritten() {
    let world = World::new();
    world.add("service").unwrap();
    write(&world.home.plugins().join("service/db.sqlite"), "rows");
    upstream(&world, "db.sqlite", "an empty one");
    assert!(matches!(upgrade(&world, Prefer::Neither), Err(ToolsError::Edited { .. })));
    assert_eq!(here(&world, "db.sqlite"), "rows");
}

#[test]
fn a_new_version_that_fails_leaves_the_old_one_running() {
    let world = World::new();
    world.add("service").unwrap();
    write(&world.home.plugins().join("service/running"), "");
    for broken in [
        HOOKS.replace("install: echo", "install: exit 7; echo"),
        HOOKS.replace("start: touch", "start: exit 7; touch"),
        HOOKS.replace("lifecycle:\n", "lifecycle:\n  status: exit 7\n"),
        "mcp: {transport: telepathy}\n".to_owned(),
    ] {
        let before: Vec<_> =
            world.snapshot().into_iter().filter(|(p, _)| !p.ends_with("data.log")).collect();
        plugin(&world.registry.join("plugins/service"), "Service", &broken);
        commit(&world.registry, "broken");
        let error = upgrade(&world, Prefer::Neither).unwrap_err();
        assert!([1, 5].contains(&error.exit().code()), "{error}");
        let after: Vec<_> =
            world.snapshot().into_iter().filter(|(p, _)| !p.ends_with("data.log")).collect();
        assert_eq!(after, before, "{broken}");
        assert!(here(&world, "data.log").contains("installed"), "its data is there");
        world.assert_clean();
    }
}

#[test]
fn outdated_says_what_would_change_and_changes_nothing() {
    let world = World::new();
    world.add("service").unwrap();
    world.add("echo").unwrap();
    upstream(&world, "mcp.sh", "next");
    let before = (world.snapshot(), world.log());
    let shell = Shell(&world.home);
    let all = verbs::outdated(&world.home, None, &context(&shell, QUIET)).unwrap();
    let same: Vec<_> =
        all.iter().map(|o| (o.slug.as_str(), o.done.as_ref().unwrap().same)).collect();
    assert_eq!(same, [("echo", true), ("service", false)]);
    assert_eq!((world.snapshot(), world.log()), before);
}

#[test]
fn a_git_source_follows_its_range_and_moves_where_it_is_told() {
    let world = World::new();
    let repository = world.folder.path().join("repo");
    for version in ["1.0.0", "1.1.0", "2.0.0"] {
        plugin(&repository.join("sub"), "Ranged", &format!("# {version}\n"));
        if version == "1.0.0" {
            git(&repository, &["init", "-q", "-b", "main"]);
        }
        commit(&repository, version);
        git(&repository, &["tag", "-m", version, &format!("v{version}")]);
    }
    let url = format!("file://{}@^1#sub", repository.display());
    let added = world.add(&url).unwrap();
    assert_eq!(added.resolved.version.as_deref(), Some("v1.1.0"));
    let shell = Shell(&world.home);
    let to = |to: Option<&str>| {
        let options = UpgradeOptions { to: to.map(str::to_owned), prefer: Prefer::Neither };
        verbs::upgrade(&world.home, "ranged", &options, &context(&shell, QUIET)).unwrap()
    };
    assert!(to(None).same);
    assert!(to(Some("v1.0.0")).to.starts_with("v1.0.0"));
    assert!(to(None).same, "tools.yaml says v1.0.0 now");
    let short: String = git(&repository, &["rev-parse", "HEAD"]).chars().take(8).collect();
    to(Some(&short));
    assert!(
        std::fs::read_to_string(world.home.plugins().join("ranged/plugin.yaml"))
            .unwrap()
            .contains("# 2.0.0")
    );
    world.assert_clean();
}
