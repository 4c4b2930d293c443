//! Bringing changes back as commits on a branch.

use atelier_api::{ExitCode, Fault};
use atelier_environment::{Applied, ApplyOptions, LayerMode, Source, Workspace, apply};

use crate::support::{World, inside};

fn bring(world: &World, workspace: &Workspace, name: &str) -> atelier_environment::Result<Applied> {
    let options = ApplyOptions {
        branch: Some(name.to_owned()),
        message: Some("From the environment".to_owned()),
        ..ApplyOptions::default()
    };
    apply(workspace, &world.project(), &options)
}

#[test]
fn uncommitted_changes_become_one_commit_and_the_working_tree_stays() {
    let world =
        World::git(&[("a", "1\n"), ("b", "2\n"), (".gitignore", "*.log\n"), ("d/x", "x\n")]);
    world.sh("echo staged > s; git add s; echo untracked > u; echo dirty >> b");
    let before = (world.listing(), world.sh("git status --porcelain"));
    let workspace = world.create("e");
    inside(
        &workspace,
        "echo one > a; echo env >> b; chmod +x a; ln -s a link; echo l > x.log; rm -r d; echo f > d",
    );
    let applied = bring(&world, &workspace, "agent/work").unwrap();
    let branch = applied.branch.unwrap();
    assert_eq!((branch.commits, branch.whole_files), (1, vec!["b".to_owned()]));
    assert_eq!(
        world.sh("git log --format=%s%n%ae main..agent/work; git diff --name-status --no-renames main agent/work; git show agent/work:b"),
        "From the environment\nada@example.com\nM\ta\nM\tb\nA\td\nD\td/x\nA\tlink\n2\ndirty\nenv\n"
    );
    let no_git =
        |l: &str| l.lines().filter(|l| !l.contains(".git")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(no_git(&world.listing()), no_git(&before.0));
    assert_eq!(world.sh("git status --porcelain"), before.1);
}

#[test]
fn the_environments_own_commits_come_along_with_what_it_left_uncommitted() {
    for mode in [LayerMode::Overlay, LayerMode::Copy] {
        let world = World::git(&[("a", "1\n"), ("b", "b\n"), ("back", "1\n")]);
        let workspace = world.try_create("e", &Source::WorkingTree, mode).unwrap();
        // A repository's own settings and hooks are the environment's: none of it may run.
        inside(&workspace, "echo 2 > a; echo 2 > back; git commit -qam second; echo 3 > a; git commit -qam third; git gc -q
            echo 1 > back; echo new > n; printf '#!/bin/sh\ntouch /tmp/atelier-evil\n' > .git/hooks/post-update
            git config uploadpack.packObjectsHook 'touch /tmp/atelier-evil'; git config core.fsmonitor 'touch /tmp/atelier-evil'");
        let applied = bring(&world, &workspace, "work").unwrap();
        assert_eq!(applied.branch.unwrap().commits, 3);
        assert_eq!(
            world.sh("git log --format=%s main..work; git show work:a work:back work:n; git fsck --strict 2>&1 | grep -v dangling || true"),
            "From the environment\nthird\nsecond\n3\n1\nnew\n"
        );
        assert_eq!(world.read("a"), "1\n");
        assert!(!std::path::Path::new("/tmp/atelier-evil").exists());
    }
}

#[test]
fn an_environment_from_a_ref_builds_on_that_ref() {
    let world = World::git(&[("a", "1\n")]);
    world.sh("git branch old; echo 2 > a; git commit -qam newer");
    let workspace = world.try_create("e", &Source::Ref("old".into()), LayerMode::Overlay).unwrap();
    inside(&workspace, "echo b > b; git add b; git commit -qm b");
    bring(&world, &workspace, "work").unwrap();
    assert_eq!(world.sh("git log --format=%s work"), "b\nfirst\n");
}

#[test]
fn a_linked_work_tree_is_a_project_like_any_other() {
    let mut world = World::git(&[("a", "1\n")]);
    world.sh("git worktree add -q -b side ../linked");
    world.root = world.root.with_file_name("linked");
    let workspace = world.create("e");
    assert_eq!(workspace.head.as_deref(), Some(world.sh("git rev-parse HEAD").trim()));
    inside(&workspace, "echo 2 > a");
    assert_eq!(bring(&world, &workspace, "work").unwrap().branch.unwrap().commits, 1);
    assert_eq!(world.sh("git diff --name-only side work"), "a\n");
}

#[test]
fn nothing_new_makes_no_branch() {
    let world = World::git(&[("a", "1\n")]);
    let workspace = world.create("e");
    assert_eq!(bring(&world, &workspace, "work").unwrap(), Applied::default());
    assert_eq!(world.sh("git branch --list work"), "");
}

#[test]
fn a_branch_that_exists_a_bad_name_and_a_project_without_git_are_refused() {
    let world = World::git(&[("a", "1\n")]);
    let workspace = world.create("e");
    inside(&workspace, "echo 2 > a");
    assert_eq!(bring(&world, &workspace, "main").unwrap_err().exit(), ExitCode::Conflict);
    for bad in ["-x", "a..b", "", "a b"] {
        let error = bring(&world, &workspace, bad).unwrap_err();
        assert_eq!(error.exit(), ExitCode::Git, "{bad:?}: {error}");
    }
    let plain = World::plain();
    let workspace = plain.create("e");
    assert_eq!(bring(&plain, &workspace, "work").unwrap_err().exit(), ExitCode::Git);
}
