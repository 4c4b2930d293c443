//! A monitor that somebody got into: what it leaves in its jail leads nowhere.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use crate::home::{HELPERS, Home, named, unfit};
use crate::life::{BOTH, remove};
use crate::or_skip;

#[test]
fn a_link_in_the_jail_is_not_followed_to_sockets_of_this_machine() {
    or_skip!(unfit(&HELPERS));
    let home = Home::new(&BOTH);
    let plane = home.plane();
    let id = plane.create().sandbox.id;
    let other = home.path("other.sock");
    let listener = UnixListener::bind(&other).unwrap();
    listener.set_nonblocking(true).unwrap();
    let jail = home.folders(&id).root().join("machine");
    for socket in ["api.sock", "vsock.sock"] {
        fs::remove_file(jail.join(socket)).unwrap();
        symlink(&other, jail.join(socket)).unwrap();
    }
    let paused = plane.wait(plane.fleet.pause(named(&id)));
    assert_eq!(paused.unwrap_err().code, "vm.failed");
    let guest = plane.wait(plane.fleet.enter(&id, false)).unwrap().guest;
    assert!(plane.wait(guest.apart().health()).is_err());
    let nobody = listener.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
    remove(&plane, &id);
    home.leaves_nothing();
}
