//! Whether root in an image is nobody outside on this machine, tried in a child process.

use std::os::fd::AsFd as _;
use std::path::Path;

use nix::fcntl::AT_FDCWD;
use nix::unistd::geteuid;

use crate::probe::{Check, Found, exit_code_of, missing};
use crate::subid::Lent;
use crate::users::Users;
use crate::{image, sys};

/// Tries what a sandbox with an image needs besides [`crate::probe()`], with `home` as the place of
/// its layers. What is missing makes such a sandbox weaker or poorer, not impossible.
#[must_use]
pub fn probe_ids(home: &Path) -> Check {
    Check::new("ids", if geteuid().is_root() { of_root(home) } else { of_user() })
}

fn of_root(home: &Path) -> Found {
    let weaker = "sandboxes with an image then have Docker's default isolation";
    let users = match Users::of_root(None) {
        Ok(users) => users,
        Err(error) => return missing(format!("{error}; {weaker}"), error.hints.join(" ")),
    };
    let try_it = || {
        let mapped = image::isolate().is_ok()
            && sys::clone_tree(AT_FDCWD.as_fd(), home, false)
                .and_then(|tree| sys::map_ids(tree, users.as_fd(), false))
                .is_ok();
        i32::from(!mapped)
    };
    if exit_code_of(try_it) == 0 {
        return Ok("root in an image is nobody outside".to_owned());
    }
    missing(
        format!("files in {} cannot be lent other ids; {weaker}", home.display()),
        "Linux 5.19 or newer is needed, and ATELIER_HOME on ext4, xfs or btrfs.",
    )
}

fn of_user() -> Found {
    match Lent::find() {
        Ok(_) => Ok("images have users besides root".to_owned()),
        Err(why) => missing(
            format!("images have no user but root inside: {why}"),
            "Install newuidmap and newgidmap (Debian, Ubuntu: `sudo apt install uidmap`; Fedora: \
             shadow-utils has them), and lend this user ids in /etc/subuid and /etc/subgid.",
        ),
    }
}
