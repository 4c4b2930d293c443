//! Bringing what changed in a project into an environment, and what a kill in between leaves.

use std::path::Path;

use atelier_environment::{
    Error, LayerMode, Mode, Prefer, Recipe, Source, Sync, SyncOptions, Workspace, is_half_synced,
    recover_sync, settle_sync, sync,
};

use crate::support::{World, sh};

fn tree(workspace: &Workspace) -> &Path {
    match &workspace.mode {
        Mode::Copy { tree, .. } => tree,
        Mode::Overlay { .. } => panic!("a full copy was asked for"),
    }
}

fn copied(world: &World, name: &str) -> Workspace {
    world.try_create(name, &Source::WorkingTree, LayerMode::Copy).unwrap()
}

fn bring(
    world: &World,
    workspace: &Workspace,
    options: SyncOptions,
) -> atelier_environment::Result<Sync> {
    let (project, recipe) = (world.project(), Recipe::default());
    sync(workspace, &project, &world.home, &recipe, tree(workspace), options)
}

fn changed(world: &World, workspace: &Workspace) -> Vec<String> {
    let diff = world.diff(workspace);
    diff.changes.iter().map(|change| change.path.display().to_string()).collect()
}

fn folders(workspace: &Workspace) -> usize {
    let listing = std::fs::read_dir(workspace.layer_dir()).unwrap();
    let name =
        |e: std::io::Result<std::fs::DirEntry>| e.unwrap().file_name().into_string().unwrap();
    listing.map(name).filter(|name| name.starts_with("synced-")).count()
}

#[test]
fn a_kill_before_the_new_snapshot_is_noted_is_finished_from_what_was_written_down() {
    let world = World::plain();
    world.write("a.txt", "one\n");
    let mut workspace = copied(&world, "e");
    sh(tree(&workspace), "echo mine > mine.txt");
    world.write("a.txt", "two\n");
    let done = bring(&world, &workspace, SyncOptions::default()).unwrap();
    assert_eq!(done.changed, ["a.txt"]);
    // Killed here: the files are in, and nobody has noted it.
    assert!(is_half_synced(&workspace));
    let found = recover_sync(&workspace, tree(&workspace)).unwrap();
    assert_eq!(found, done.synced);
    workspace.synced = found;
    settle_sync(&workspace, tree(&workspace)).unwrap();
    assert!(!is_half_synced(&workspace));
    assert_eq!(sh(tree(&workspace), "cat a.txt; ls -A"), "two\na.txt\nmine.txt\n");
    assert_eq!(changed(&world, &workspace), ["mine.txt"]);
    assert_eq!(folders(&workspace), 1);
    // Another one takes the place of the first.
    world.write("b.txt", "b\n");
    workspace.synced = bring(&world, &workspace, SyncOptions::default()).unwrap().synced;
    settle_sync(&workspace, tree(&workspace)).unwrap();
    assert_eq!((changed(&world, &workspace), folders(&workspace)), (vec!["mine.txt".into()], 1));
}

#[test]
fn what_is_refused_or_only_asked_leaves_nothing() {
    let world = World::plain();
    world.write("a.txt", "one\n");
    let workspace = copied(&world, "e");
    sh(tree(&workspace), "echo inside > a.txt");
    world.write("a.txt", "outside\n");
    world.write("b.txt", "b\n");
    let error = bring(&world, &workspace, SyncOptions::default()).unwrap_err();
    assert!(
        matches!(&error, Error::Conflict { here: "the environment", conflicts } if conflicts.len() == 1)
    );
    let asked = SyncOptions { prefer: Some(Prefer::Project), dry_run: true };
    assert_eq!(bring(&world, &workspace, asked).unwrap().changed, ["a.txt", "b.txt"]);
    assert_eq!(sh(tree(&workspace), "cat a.txt; ls -A"), "inside\na.txt\n");
    assert_eq!((folders(&workspace), is_half_synced(&workspace)), (0, false));
    assert_eq!(recover_sync(&workspace, tree(&workspace)).unwrap(), None);
}

#[test]
fn files_become_folders_and_folders_files() {
    let world = World::plain();
    world.write("thing", "a file\n");
    world.write("folder/inner", "x\n");
    let mut workspace = copied(&world, "e");
    world.sh("rm thing; mkdir thing; echo in > thing/in; rm -r folder; echo now > folder");
    workspace.synced = bring(&world, &workspace, SyncOptions::default()).unwrap().synced;
    settle_sync(&workspace, tree(&workspace)).unwrap();
    assert_eq!(sh(tree(&workspace), "cat thing/in folder"), "in\nnow\n");
    assert_eq!(changed(&world, &workspace), Vec::<String>::new());
}
