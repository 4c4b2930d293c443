//! Making environments: what they see, what they share, what becomes of bases.

use std::os::unix::fs::MetadataExt;

use atelier_environment::{
    LayerMode, Mode, Recipe, Source, Workspace, create_workspace, gc_bases, gc_leftovers,
    remove_layers,
};

use crate::support::{World, inside, sh};

const RICH: &str = r#"
    mkdir -p src/deep .hidden empty 'with space' locked
    printf one > src/a; printf two > src/deep/b; printf x > .hidden/c; printf y > 'with space/d e'
    printf '#!/bin/sh\n' > run; chmod 755 run; printf s > secret; chmod 600 secret
    ln -s src/a link; ln -s /nowhere dangling; ln -s . cycle; ln src/a hard; mkfifo pipe; chmod 621 pipe
    printf nl > "$(printf 'new\nline')"; printf nu > "$(printf 'not-utf8-\377')"
    head -c 300000 /dev/urandom > big; truncate -s 5M sparse
    chown 1234:5678 secret; chmod 500 locked
    touch -d '2001-02-03 04:05:06.123456789' src/a src/deep run .; touch -h -d '2002-01-01' dangling
"#;

#[test]
fn an_environment_sees_exactly_the_project() {
    let world = World::plain();
    world.sh(RICH);
    for (path, name) in
        [("secret", "user.note"), ("src", "user.note"), ("src", "user.overlay.opaque")]
    {
        let file = std::fs::File::open(world.root.join(path)).unwrap();
        rustix::fs::fsetxattr(&file, name, b"y", rustix::fs::XattrFlags::empty()).unwrap();
    }
    let before = world.listing();
    for mode in [LayerMode::Overlay, LayerMode::Copy] {
        let workspace = world.try_create(&format!("{mode:?}"), &Source::WorkingTree, mode).unwrap();
        assert_eq!(world.view(&workspace), before, "{mode:?}");
        assert_eq!(workspace.skipped, []);
        let links =
            inside(&workspace, "stat -c %h hard src/a; stat -c %i hard src/a | uniq | wc -l");
        assert_eq!(links, "2\n2\n1\n", "hard links stay links in {mode:?}");
    }
    assert_eq!(world.listing(), before, "the project is as it was");
    let base = world.home.bases().join(world.project().id()).join("00000001/tree");
    assert!(base.join("sparse").metadata().unwrap().blocks() < 100, "holes stay holes");
    let attribute = |path, name| rustix::fs::getxattr(base.join(path), name, &mut [0_u8; 9]);
    assert_eq!(attribute("secret", "user.note"), Ok(1));
    assert_eq!(attribute("src", "user.note"), Ok(1));
    assert!(attribute("src", "user.overlay.opaque").is_err(), "no marks of layers from outside");
}

#[test]
fn what_changed_since_the_base_is_seen_and_later_edits_are_not() {
    let world = World::plain();
    world.sh(RICH);
    let first = world.create("first");
    assert!(first.stats.new_base);
    let before = world.listing();
    world.sh("printf changed > src/a; rm -r .hidden; rm link; mkdir link; printf in > link/x
         rm -r 'with space'; printf now-a-file > 'with space'; mv src/deep moved; mkdir -p n/e/w
         printf deep > n/e/w/f; chmod 640 run; rm dangling; ln -s elsewhere dangling; rmdir locked
         chmod 700 empty; touch -d 2003-01-01 empty");
    let after = world.listing();
    let second = world.create("second");
    assert!(!second.stats.new_base && second.lowers.len() == 2, "{:?}", second.stats);
    assert_eq!(world.view(&second), after);
    assert_eq!(world.view(&first), before, "the first environment does not see the edits");
    let copy = world.try_create("copy", &Source::WorkingTree, LayerMode::Copy).unwrap();
    assert_eq!(world.view(&copy), after);
}

#[test]
fn an_environment_on_an_unchanged_project_needs_no_layer_of_its_own() {
    let world = World::plain();
    world.sh("mkdir d; for i in 1 2 3; do echo $i > d/$i; done; sleep 0.1");
    world.create("one");
    let two = world.create("two");
    assert_eq!((two.lowers.len(), two.stats.changed, two.stats.copied), (1, 0, 0));
    assert_eq!(Workspace::load(&world.layer_dir("two")).unwrap(), two);
}

#[test]
fn many_changes_make_a_new_base_that_shares_the_old_files() {
    let world = World::plain();
    world.sh("mkdir d; for i in $(seq 300); do echo $i > d/$i; done; sleep 0.1");
    let one = world.create("one");
    world.sh("for i in $(seq 100); do echo new > d/$i; done; rm d/300");
    let two = world.create("two");
    assert!(two.stats.new_base);
    assert_eq!(world.view(&two), world.listing());
    let file = |w: &Workspace, name| w.lowers[0].join(name).metadata().unwrap().ino();
    assert_eq!(file(&one, "d/200"), file(&two, "d/200"));
    assert_ne!(file(&one, "d/50"), file(&two, "d/50"));
    assert_eq!(inside(&one, "cat d/50 d/300"), "50\n300\n");

    // The old base goes when nobody stands on it, and only then.
    assert_eq!(gc_bases(&world.home, &[]).unwrap().bases, 0);
    remove_layers(&world.layer_dir("one")).unwrap();
    assert_eq!(gc_bases(&world.home, std::slice::from_ref(&one.base_id)).unwrap().bases, 0);
    assert_eq!(gc_bases(&world.home, &[]).unwrap().bases, 1);
    assert_eq!(world.view(&two), world.listing());
    // A project that is gone keeps nothing but what is used.
    std::fs::remove_dir_all(&world.root).unwrap();
    assert_eq!(gc_bases(&world.home, &[]).unwrap().bases, 0);
    remove_layers(&world.layer_dir("two")).unwrap();
    assert_eq!(gc_bases(&world.home, &[]).unwrap().bases, 1);
}

#[test]
fn the_ignore_file_and_our_own_home_stay_behind_and_everything_else_comes_along() {
    let mut world = World::git(&[(".gitignore", "node_modules\n"), ("a", "1")]);
    world.home = atelier_config::Home::at(world.root.join(".atelier"));
    world.sh("mkdir -p node_modules cache sub; echo m > node_modules/m; echo c > cache/c
              echo '/cache' > .atelierignore; echo '*.tmp' > sub/.atelierignore; touch sub/x.tmp y.tmp");
    let workspace = world.create("e");
    let seen = inside(&workspace, "find . -name .git -prune -o -print | LC_ALL=C sort");
    let expected = ".\n./.atelierignore\n./.gitignore\n./a\n./node_modules\n./node_modules/m\n./sub\n./sub/.atelierignore\n./y.tmp\n";
    assert_eq!(seen, expected);
    assert_eq!(inside(&workspace, "git status --porcelain").lines().count(), 3);
}

#[test]
fn a_hundred_environments_at_once_are_all_whole() {
    let world = World::plain();
    world.sh("mkdir -p a/b; for i in $(seq 500); do echo $i > a/b/$i; done");
    let project = world.project();
    let made: Vec<Workspace> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..100)
            .map(|n| {
                let (project, home, dir) = (&project, &world.home, world.layer_dir(&n.to_string()));
                scope.spawn(move || {
                    create_workspace(project, home, &dir, &Recipe::default(), LayerMode::Overlay)
                        .unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(made.iter().filter(|w| w.stats.new_base).count() <= 2);
    let listing = world.listing();
    for workspace in made.iter().step_by(20) {
        assert_eq!(world.view(workspace), listing);
    }
    for n in 0..100 {
        remove_layers(&world.layer_dir(&n.to_string())).unwrap();
    }
    assert_eq!(sh(&world.home.environments(), "ls -A"), "");
}

#[test]
fn of_two_that_make_the_same_environment_one_wins() {
    let world = World::plain();
    world.sh("for i in $(seq 50); do echo $i > $i; done");
    let results: Vec<_> = std::thread::scope(|scope| {
        let make = || world.try_create("same", &Source::WorkingTree, LayerMode::Overlay).is_ok();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|won| **won).count(), 1);
    assert_eq!(sh(&world.home.environments(), "ls -A"), "same\n");
}

#[test]
fn leftovers_of_the_dead_are_collected_and_work_under_way_is_not() {
    let world = World::plain();
    world.sh("echo x > x");
    world.create("e");
    let half = world.home.environments().join(".new-99999-0/upper");
    std::fs::create_dir_all(&half).unwrap();
    let base = world.home.bases().join(world.project().id());
    std::fs::create_dir_all(base.join(".new-99999-1/tree")).unwrap();
    let busy = world.home.environments().join(".new-99999-2");
    std::fs::create_dir_all(&busy).unwrap();
    let lock = std::fs::File::open(&busy).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();

    assert_eq!(gc_leftovers(&world.home.environments()).unwrap().leftovers, 1);
    assert!(busy.exists() && !half.exists());
    assert_eq!(gc_bases(&world.home, &[]).unwrap().leftovers, 1);
    assert_eq!(sh(&base, "ls -A | grep -v 000 | tr '\n' ' '"), "lock root ");
}

#[test]
fn a_ref_is_a_clean_checkout_with_its_branches_and_remotes() {
    let world = World::git(&[("a", "committed"), ("d/b", "b")]);
    world.sh("git remote add origin https://example.com/shop.git; git branch side
              git config core.hooksPath hooks; git config filter.evil.smudge 'touch /tmp/evil'
              git tag v1; echo dirty > a; echo untracked > new");
    let side = world.try_create("side", &Source::Ref("side".into()), LayerMode::Overlay).unwrap();
    let seen = inside(
        &side,
        "cat a; ls; git status --porcelain; git branch --show-current
        git branch --format='%(refname:short)'; git remote get-url origin; git config user.email
        git config --get core.hooksPath || true",
    );
    assert_eq!(
        seen,
        "committeda\nd\nside\nmain\nside\nhttps://example.com/shop.git\nada@example.com\n"
    );
    let tag = world.try_create("tag", &Source::Ref("v1".into()), LayerMode::Copy).unwrap();
    assert_eq!(
        inside(&tag, "git branch --show-current; git rev-parse HEAD"),
        world.sh("git rev-parse v1")
    );
    let again = world.try_create("again", &Source::Ref("side".into()), LayerMode::Overlay).unwrap();
    assert_eq!((again.base_id, again.stats.new_base), (side.base_id, false));
    assert!(matches!(tag.mode, Mode::Copy { .. }));
}

/// Runs as a process of its own: makes environments until it is killed.
#[test]
fn makes_environments_until_it_is_killed() {
    let Some(dir) = std::env::var_os("ATELIER_TEST_VICTIM").map(std::path::PathBuf::from) else {
        return;
    };
    let project = atelier_environment::Project::discover(&dir.join("project"), None).unwrap();
    let home = atelier_config::Home::at(dir.join("home"));
    for n in 0.. {
        // Every other one finds much changed, and makes a new base.
        for file in 0..200 {
            std::fs::write(project.root.join(file.to_string()), format!("{n} {file}")).unwrap();
        }
        for again in 0..2 {
            let layer_dir = home.environments().join(format!("{}-{n}-{again}", std::process::id()));
            let mode = if again == 0 { LayerMode::Overlay } else { LayerMode::Copy };
            create_workspace(&project, &home, &layer_dir, &Recipe::default(), mode).unwrap();
        }
    }
}

#[test]
fn a_killed_creation_leaves_nothing_that_is_taken_for_whole() {
    let world = World::plain();
    for round in 0..12_u64 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "create::makes_environments_until_it_is_killed"])
            .env("ATELIER_TEST_VICTIM", world.root.parent().unwrap())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(80 + round * 31));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    gc_leftovers(&world.home.environments()).unwrap();
    gc_bases(&world.home, &[]).unwrap();
    let mut whole = 0;
    for dir in std::fs::read_dir(world.home.environments()).unwrap().flatten() {
        let workspace = Workspace::load(&dir.path()).unwrap();
        let count = "find . -type f | wc -l; cat * | cut -d' ' -f1 | sort -u | wc -l";
        let seen = inside(&workspace, count);
        assert_eq!(seen, "200\n1\n", "{}", dir.path().display());
        whole += 1;
    }
    assert!(whole > 0, "no environment was made before the kills");
    world.create("after");
}
