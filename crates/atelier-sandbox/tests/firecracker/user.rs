//! An ordinary user's machines: without the jailer, in a user namespace of the launcher's.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use atelier_api::sandbox::SandboxState;
use atelier_launch::Instance;
use atelier_sandbox::Folders;

use crate::home::{HELPERS, Home, named, plane, unfit};
use crate::life::{BOTH, fork, pause, remove, restore, resume, snapshot};
use crate::{or_skip, stand_in};

/// Nobody, as far as this machine knows.
pub const ID: u32 = 64_242;

#[test]
fn an_ordinary_user_has_machines_without_a_jail_and_is_told_so() {
    or_skip!(unfit(&HELPERS));
    let reachable = |path: &Path| path.metadata().is_ok_and(|meta| meta.mode() & 0o001 != 0);
    let me = std::env::current_exe().unwrap();
    if let Some(shut) = me.ancestors().find(|path| !reachable(path)) {
        println!("SKIPPED: others may not enter {}", shut.display());
        return;
    }
    let home = Home::new(&BOTH);
    let theirs = home.path("theirs");
    fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(ID), Some(ID)).unwrap();
    fs::set_permissions(home.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let mut user = stand_in::start("user", &theirs);
    assert!(user.wait().unwrap().success());
    home.leaves_nothing();
}

/// What that user does. There is no guest to run commands in, but one that says that it is well.
pub fn lives(home: &Path) {
    let plane = plane(home);
    let made = plane.create();
    let id = made.sandbox.id;
    let notes = plane.fleet.show(&named(&id)).unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("without its jailer")), "{notes:?}");
    let folders = Folders::of(&home.join("sandboxes"), id.parse().unwrap());
    assert!(folders.root().join("machine").symlink_metadata().unwrap().is_dir());
    let pid = Instance::load(folders.root()).unwrap().unwrap().init.pid;
    assert_eq!(fs::metadata(format!("/proc/{pid}")).unwrap().uid(), ID);
    pause(&plane, &id);
    assert_eq!(plane.state(&id), SandboxState::Paused);
    resume(&plane, &id);
    let saved = snapshot(&plane, &id, None);
    for copy in fork(&plane, &id, 2) {
        remove(&plane, &copy);
    }
    restore(&plane, &id, &saved);
    assert_eq!(plane.state(&id), SandboxState::Running);
    remove(&plane, &id);
}
