//! Adding and removing: what is written, what is committed, what is left alone.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use atelier_api::Fault;
use atelier_tools::home::{Lock, Manifest};
use atelier_tools::verbs::{self, RemoveOptions};
use atelier_tools::{Always, ToolsError};
use support::*;

fn remove(world: &World, name: &str, purge: bool) -> atelier_tools::Result<verbs::Removed> {
    let options = RemoveOptions { purge, force: false };
    verbs::remove(&world.home, name, &options, &context(&Shell(&world.home), QUIET))
}

#[test]
fn a_tool_of_a_registry_is_placed_pinned_and_committed() {
    let world = World::new();
    let added = world.add("echo").unwrap();
    let head = git(&world.registry, &["rev-parse", "HEAD"]);
    assert_eq!(added.resolved.commit.as_deref(), Some(head.as_str()));
    assert_eq!(world.log()[0], format!("tool add echo (registry default, {})", &head[..7]));
    let files = git(world.home.root(), &["ls-tree", "-r", "HEAD", "plugins"]);
    assert!(files.contains("100755") && files.contains("plugins/echo/plugin.yaml"), "{files}");
    let lock = Lock::read(&world.home).unwrap();
    assert_eq!(lock.bytes(), std::fs::read(world.home.lock_file()).unwrap());
    let rows = verbs::ls(&world.home).unwrap();
    assert_eq!(
        (rows[0].slug.as_str(), rows[0].name.as_str(), rows[0].problem.as_ref()),
        ("echo", "Echo", None)
    );
    assert!(verbs::show(&world.home, "echo").unwrap().modified.is_empty());
    world.assert_clean();
    assert!(matches!(world.add("echo"), Err(ToolsError::Exists { .. })));
    world.assert_clean();
}

#[test]
fn a_revert_of_the_commit_is_a_removal() {
    let world = World::new();
    let before = world.snapshot();
    world.add("echo").unwrap();
    git(world.home.root(), &["revert", "--no-edit", "HEAD"]);
    assert_eq!(world.snapshot(), before);
    assert!(verbs::ls(&world.home).unwrap().is_empty());
}

#[test]
fn an_install_that_fails_takes_everything_back() {
    let world = World::new();
    let before = world.snapshot();
    let broken = world.folder.path().join("broken");
    plugin(
        &broken,
        "Broken",
        "lifecycle: {install: 'touch half-done; echo no >&2; false', uninstall: 'rm -f half-done'}\n",
    );
    let error = world.add("./broken").unwrap_err();
    assert!(error.to_string().contains("no") && error.code() == "tool.hook", "{error}");
    assert_eq!(world.snapshot(), before);
    world.assert_clean();
}

#[test]
fn nobody_agreed_so_nothing_happened() {
    let world = World::new();
    let before = world.snapshot();
    let shell = Shell(&world.home);
    let context = atelier_tools::Context { ask: &Always(false), ..context(&shell, QUIET) };
    let error = verbs::add(&world.home, &world.options("service"), &context).unwrap_err();
    assert_eq!(error.exit().code(), 10);
    assert_eq!(world.snapshot(), before);
    world.assert_clean();
}

#[test]
fn a_removal_keeps_what_is_the_users_and_a_purge_does_not() {
    let world = World::new();
    world.add("service").unwrap();
    let folder = world.folder.path().join("atelier/tools");
    write(&folder.join("plugins/service/custom/overrides.yaml"), "description: mine\n");
    write(&folder.join("plugins/service/db/data.sqlite"), "rows");
    write(&folder.join("values/service.yaml"), "A: b\n");
    write(&folder.join("plugins/service/running"), "");
    git(&folder, &["add", "-A"]);
    git(&folder, &["commit", "-qm", "mine"]);
    let removed = remove(&world, "service", false).unwrap();
    assert_eq!(removed.kept.len(), 2, "{removed:?}");
    assert!(folder.join("plugins/service/custom/overrides.yaml").exists());
    assert!(folder.join("plugins/service/db/data.sqlite").exists());
    assert!(
        !folder.join("plugins/service/plugin.yaml").exists()
            && !folder.join("plugins/service/running").exists()
    );
    world.assert_clean();
    assert_eq!(world.log()[0], "tool remove service");
    // Added again, it finds its data; then all of it goes.
    world.add("service").unwrap();
    assert_eq!(
        std::fs::read_to_string(folder.join("plugins/service/db/data.sqlite")).unwrap(),
        "rows"
    );
    remove(&world, "service", true).unwrap();
    assert!(
        !folder.join("plugins/service").exists() && !folder.join("values/service.yaml").exists()
    );
    world.assert_clean();
}

#[test]
fn a_path_is_nothing_that_could_be_removed() {
    let world = World::new();
    let precious = world.folder.path().join("precious");
    write(&precious.join("file"), "x");
    for name in ["../../precious", precious.to_str().unwrap(), "..", ".", "a/../../../precious", ""]
    {
        assert_eq!(remove(&world, name, true).unwrap_err().exit().code(), 2, "{name}");
    }
    assert!(precious.join("file").exists());
    assert_eq!(remove(&world, "unknown-one", true).unwrap_err().exit().code(), 3);
}

#[test]
fn the_users_own_changes_are_not_swept_into_our_commit() {
    let world = World::new();
    let root = world.home.root();
    write(&root.join("notes.txt"), "mine");
    write(
        &root.join(".gitignore"),
        &(std::fs::read_to_string(root.join(".gitignore")).unwrap() + "*.log\n"),
    );
    git(root, &["add", "notes.txt"]);
    world.add("echo").unwrap();
    let status = git(root, &["status", "--porcelain"]);
    assert_eq!(status.lines().map(str::trim).collect::<Vec<_>>(), ["M .gitignore", "A  notes.txt"]);
    // A manifest with changes of the user's own would go into our commit with them.
    let text = std::fs::read_to_string(world.home.manifest_file()).unwrap();
    write(&world.home.manifest_file(), &format!("# mine\n{text}"));
    let error = world.add("service").unwrap_err();
    assert_eq!((error.code(), error.exit().code()), ("tool.dirty", 7));
    git(root, &["commit", "-qam", "mine"]);
    world.add("service").unwrap();
    assert!(Manifest::read(&world.home).unwrap().text().starts_with("# mine\n"));
}

#[test]
fn a_home_in_the_middle_of_something_is_left_alone() {
    let world = World::new();
    let root = world.home.root();
    git(root, &["checkout", "-q", "--detach"]);
    assert_eq!(world.add("echo").unwrap_err().exit().code(), 7);
    git(root, &["switch", "-q", "main"]);
    write(&root.join(".git/MERGE_HEAD"), &git(root, &["rev-parse", "HEAD"]));
    let error = world.add("echo").unwrap_err();
    assert!(error.to_string().contains("a merge is under way"), "{error}");
    std::fs::remove_file(root.join(".git/MERGE_HEAD")).unwrap();
    world.add("echo").unwrap();
}

#[test]
fn settings_come_before_install_and_go_when_it_fails() {
    let world = World::new();
    let folder = world.folder.path().join("asks");
    let text = |name: &str, install: &str| {
        format!(
            "env_vars: [{{name: {name}, required: true}}]\nlifecycle: {{install: '{install}', uninstall: 'true'}}\n"
        )
    };
    // It is there, and its install waits.
    plugin(&folder, "Asks", &text("MISSING", "touch data.ran"));
    let added = world.add("./asks").unwrap();
    assert_eq!(added.needs, ["MISSING"]);
    assert!(!world.home.plugins().join("asks/data.ran").exists());
    remove(&world, "asks", true).unwrap();
    // What was typed goes with what failed.
    let before = world.snapshot();
    plugin(&folder, "Asks", &text("ASKED", "false"));
    world.add("./asks").unwrap_err();
    assert_eq!(world.snapshot(), before);
    world.assert_clean();
    // And into the commit of what did not.
    plugin(&folder, "Asks", &text("ASKED", "touch data.ran"));
    assert!(world.add("./asks").unwrap().needs.is_empty());
    assert!(git(world.home.root(), &["ls-files"]).contains("values/asks.yaml"));
    assert!(world.home.plugins().join("asks/data.ran").exists());
    world.assert_clean();
}
