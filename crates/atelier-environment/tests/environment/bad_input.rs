//! Projects and machines as one does not wish them.

use std::os::unix::net::UnixListener;
use std::process::Command;

use atelier_api::{ExitCode, Fault};
use atelier_environment::{
    Error, LayerMode, Recipe, Source, Workspace, create_workspace, remove_layers,
};

use crate::support::{World, inside, sh};

#[test]
fn a_project_of_no_files_is_fine() {
    let world = World::plain();
    for mode in [LayerMode::Overlay, LayerMode::Copy] {
        let workspace = world.try_create(&format!("{mode:?}"), &Source::WorkingTree, mode).unwrap();
        inside(&workspace, "echo hello > new");
        assert_eq!(world.diff(&workspace).changes.len(), 1);
    }
}

#[test]
fn sockets_and_devices_stay_behind_and_are_named() {
    let world = World::plain();
    world.write("a", "a");
    let _socket = UnixListener::bind(world.root.join("sock")).unwrap();
    world.sh("mknod dev c 1 3; mknod white c 0 0");
    let workspace = world.create("e");
    let names: Vec<_> = workspace.skipped.iter().map(|s| s.path.as_str()).collect();
    assert_eq!(names, ["dev", "sock", "white"]);
    assert_eq!(inside(&workspace, "ls"), "a\n");
}

#[test]
fn a_socket_in_the_place_of_a_file_hides_the_old_file() {
    let world = World::plain();
    world.write("a", "a");
    world.write("b", "b");
    std::thread::sleep(std::time::Duration::from_millis(100));
    world.create("one");
    std::fs::remove_file(world.root.join("a")).unwrap();
    let _socket = UnixListener::bind(world.root.join("a")).unwrap();
    let workspace = world.create("two");
    assert_eq!(inside(&workspace, "ls"), "b\n");
}

#[test]
fn a_project_under_a_name_of_odd_bytes_works() {
    use std::os::unix::ffi::OsStringExt;
    let mut world = World::plain();
    let odd = std::ffi::OsString::from_vec(b"odd \n\xff name".to_vec());
    let root = world.root.with_file_name(odd);
    std::fs::rename(&world.root, &root).unwrap();
    world.root = root;
    world.write("a", "a");
    let workspace = world.create("e");
    assert_eq!(workspace.target, world.root);
    assert_eq!(Workspace::load(&world.layer_dir("e")).unwrap(), workspace);
    inside(&workspace, "echo b > a");
    assert_eq!(world.diff(&workspace).changes.len(), 1);
}

#[test]
fn a_file_that_keeps_changing_is_reported_and_blocks_nothing() {
    let world = World::plain();
    world.write("log", vec![b'x'; 40_000_000]);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let workspace = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file =
                std::fs::File::options().append(true).open(world.root.join("log")).unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                std::io::Write::write_all(&mut file, b"more\n").unwrap();
            }
        });
        let workspace = world.create("e");
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        workspace
    });
    assert_eq!(workspace.skipped.len(), 1, "{:?}", workspace.skipped);
    assert!(workspace.skipped[0].why.contains("changing"));
}

#[test]
fn a_symlink_swapped_in_never_leads_outside() {
    let world = World::plain();
    world.sh("mkdir ../outside; echo secret > ../outside/f; mkdir d; echo mine > d/f");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = std::fs::rename(world.root.join("d"), world.root.join("../kept"));
                let _ = std::os::unix::fs::symlink("../outside", world.root.join("d"));
                let _ = std::fs::remove_file(world.root.join("d"));
                let _ = std::fs::rename(world.root.join("../kept"), world.root.join("d"));
            }
        });
        for n in 0..30 {
            let name = n.to_string();
            let _ = world.try_create(&name, &Source::WorkingTree, LayerMode::Copy);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let found = sh(world.home.root(), "grep -rl secret . || true");
    assert_eq!(found, "");
}

#[test]
fn a_full_disk_is_named_and_nothing_is_left_half_made() {
    // The test runs itself again in a mount namespace of its own, with a small tmpfs as the home.
    if std::env::var_os("ATELIER_TEST_FULL").is_none() {
        let status = Command::new("unshare")
            .args(["--mount", "--propagation", "private"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "bad_input::a_full_disk_is_named_and_nothing_is_left_half_made"])
            .env("ATELIER_TEST_FULL", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let world = World::plain();
    world.write("big", vec![7; 4 << 20]);
    std::fs::create_dir(world.home.root()).unwrap();
    sh(world.tmp.path(), "mount -t tmpfs -o size=2m tmpfs home");
    let error = world.try_create("e", &Source::WorkingTree, LayerMode::Overlay).unwrap_err();
    let Error::NoSpace { filesystem, needed, .. } = &error else { panic!("{error:?}") };
    assert_eq!((filesystem.as_path(), *needed), (world.home.root(), Some(4 << 20)));
    assert!(error.hints()[0].contains("ATELIER_HOME"), "{:?}", error.hints());
    assert_eq!(
        sh(world.home.root(), "ls -A envs; ls bases/*; find . -name '.new*'"),
        "lock\nroot\n"
    );
    sh(world.tmp.path(), "mount -o remount,size=20m home");
    world.create("e");

    // The same while a layer is written.
    sh(world.tmp.path(), "mount -o remount,size=5m home");
    world.write("second", vec![7; 4 << 20]);
    assert!(matches!(
        world.try_create("f", &Source::WorkingTree, LayerMode::Overlay),
        Err(Error::NoSpace { .. })
    ));
    assert_eq!(sh(world.home.root(), "ls -A envs; ls bases/*"), "e\n00000001\nlock\nroot\n");
}

#[test]
fn a_read_only_home_is_an_error_that_says_so() {
    if std::env::var_os("ATELIER_TEST_READ_ONLY").is_none() {
        let status = Command::new("unshare")
            .args(["--mount", "--propagation", "private"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "bad_input::a_read_only_home_is_an_error_that_says_so"])
            .env("ATELIER_TEST_READ_ONLY", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let world = World::plain();
    std::fs::create_dir(world.home.root()).unwrap();
    sh(world.tmp.path(), "mount -t tmpfs -o ro tmpfs home");
    let error = world.try_create("e", &Source::WorkingTree, LayerMode::Overlay).unwrap_err();
    assert!(matches!(error, Error::ReadOnly { .. }), "{error:?}");
    assert_eq!(error.exit(), ExitCode::NotPermitted);
    assert!(!error.hints().is_empty());
}

#[test]
fn a_mount_left_inside_an_environment_is_not_emptied() {
    if std::env::var_os("ATELIER_TEST_MOUNTED").is_none() {
        let status = Command::new("unshare")
            .args(["--mount", "--propagation", "private"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "bad_input::a_mount_left_inside_an_environment_is_not_emptied"])
            .env("ATELIER_TEST_MOUNTED", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let world = World::plain();
    world.create("e");
    let dir = world.layer_dir("e").join("upper");
    sh(&dir, "mkdir m; mount -t tmpfs tmpfs m; echo precious > m/f");
    assert!(matches!(remove_layers(&world.layer_dir("e")), Err(Error::Mounted { .. })));
    assert_eq!(sh(&world.home.environments(), "cat .old-*/upper/m/f"), "precious\n");
}

#[test]
fn an_unknown_ref_an_existing_name_and_a_damaged_record_say_what_to_do() {
    let world = World::git(&[("a", "1\n")]);
    for bad in ["nope", "--help", "", "a..b"] {
        let error =
            world.try_create("e", &Source::Ref(bad.into()), LayerMode::Overlay).unwrap_err();
        assert_eq!(error.exit(), ExitCode::Git, "{error}");
        assert!(!error.hints().is_empty());
    }
    world.create("e");
    let project = world.project();
    let again = create_workspace(
        &project,
        &world.home,
        &world.layer_dir("e"),
        &Recipe::default(),
        LayerMode::Overlay,
    );
    assert_eq!(again.unwrap_err().exit(), ExitCode::Conflict);
    std::fs::write(world.layer_dir("e").join("workspace.json"), "{").unwrap();
    assert!(matches!(Workspace::load(&world.layer_dir("e")), Err(Error::Damaged { .. })));
    assert_eq!(sh(&world.home.environments(), "ls -A"), "e\n");
}

#[test]
fn a_damaged_base_is_replaced() {
    let world = World::plain();
    world.write("a", "a");
    let first = world.create("one");
    let manifest = first.lowers[0].parent().unwrap().join("manifest");
    std::fs::write(&manifest, "garbage").unwrap();
    let second = world.create("two");
    assert!(second.stats.new_base);
    assert_eq!(inside(&second, "cat a"), "a");
}
