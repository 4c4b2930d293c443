//! Making the namespaces, in two halves: what must be there before PID 1 is forked, and what it
//! makes itself.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::{Mode, fstat, stat};
use nix::unistd::{chroot, fchdir, getegid, geteuid};

use crate::error::{At as _, LaunchError, Result};
use crate::spec::LaunchSpec;
use crate::sys;
use crate::users::Users;

/// The user namespace (one that is there already, or one of our own unless we are root), and the
/// process namespace of the next child.
pub fn enter_outer(spec: &LaunchSpec, users: Option<&Users>) -> Result<()> {
    if let Some(users) = users {
        users.enter()?;
        return unshare(CloneFlags::CLONE_NEWPID).step("make a process namespace");
    }
    if geteuid().is_root() {
        return unshare(CloneFlags::CLONE_NEWPID).step("make a process namespace").map_err(
            |error| {
                error.hint("Root in a container needs CAP_SYS_ADMIN; or run as an ordinary user.")
            },
        );
    }
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    if spec.uid != uid {
        return Err(LaunchError::new(
            &format!("run as user {}", spec.uid),
            format!("only root can, and this is user {uid}"),
        ));
    }
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID)
        .step("make a user namespace")
        .map_err(|error| error.hint("`atelier doctor` says what this machine lacks for it."))?;
    // Everybody keeps the ids that they have outside: files look as they are.
    let id_map = |id: u32| format!("{id} {id} 1");
    for (file, content) in
        [("setgroups", "deny".to_owned()), ("uid_map", id_map(uid)), ("gid_map", id_map(gid))]
    {
        let path = Path::new("/proc/self").join(file);
        std::fs::write(&path, content).at("write", &path)?;
    }
    Ok(())
}

/// The other namespaces of PID 1.
pub fn enter_inner() -> Result<()> {
    let flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWCGROUP;
    unshare(flags).step("make the namespaces").map_err(|error| {
        if geteuid().is_root() {
            error.hint("Root in a container needs CAP_SYS_ADMIN; or run as an ordinary user.")
        } else {
            error.hint(
                "An AppArmor policy may take the powers of user namespaces away: `atelier \
                 doctor` says how to allow it for Atelier.",
            )
        }
    })
}

/// Cuts this mount namespace's ties to the others. If we are in a chroot, returns the
/// namespace's real root, because `pivot_root` works from there only.
pub fn isolate_mounts(in_user_namespace: bool) -> Result<Option<OwnedFd>> {
    let slash = Path::new("/");
    let private = || {
        let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&Path>, slash, None::<&Path>, flags, None::<&Path>)
            .step("make the mounts private")
    };
    if in_user_namespace {
        private()?; // the kernel makes no user namespace in a chroot, so we are in none
        return Ok(None);
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let open_root = || open(slash, flags, Mode::empty()).at("open", slash);
    let seen = open_root()?;
    // Entering a mount namespace, be it our own, leads to its root.
    let own = sys::pidfd(std::process::id() as i32).step("open PID 1")?;
    setns(own, CloneFlags::CLONE_NEWNS).step("find the root of the mounts")?;
    private()?;
    let (inner, outer) = (fstat(&seen).at("look at", slash)?, stat(slash).at("look at", slash)?);
    if (inner.st_dev, inner.st_ino) == (outer.st_dev, outer.st_ino) {
        return Ok(None);
    }
    let real = open_root()?;
    enter_root(&seen)?;
    Ok(Some(real))
}

/// Makes a directory our root, by chroot.
fn enter_root(dir: &OwnedFd) -> Result<()> {
    let enter = || fchdir(dir).and_then(|()| chroot("."));
    enter().step("change the root directory")
}

/// Makes `new_root` the root and lets go of every mount of the host.
pub fn pivot(new_root: &OwnedFd, real_root: Option<&OwnedFd>) -> Result<()> {
    if let Some(real) = real_root {
        enter_root(real)?;
    }
    fchdir(new_root).step("enter the new root")?;
    sys::pivot_here().step("change the root")?;
    nix::mount::umount2(".", nix::mount::MntFlags::MNT_DETACH).step("let go of the old root")?;
    nix::unistd::chdir("/").step("enter the new root")
}
