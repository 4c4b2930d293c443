//! Kernel modules, which lie in the initial RAM disk. `/modules/order` has one on each line: the
//! group that needs it, and its file; within a group each comes after those that it needs.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use super::named;

const FOLDER: &str = "/modules";

/// Loads the modules of a group that this kernel has not built in. A group that nobody packed is
/// built in.
pub fn load(group: &str) -> io::Result<()> {
    let folder = Path::new(FOLDER);
    let order = match std::fs::read_to_string(folder.join("order")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        order => order.map_err(named("reading the list of modules"))?,
    };
    for file in files_of(&order, group) {
        insert(&folder.join(file)).map_err(named(format!("loading the module {file}")))?;
    }
    Ok(())
}

fn files_of<'a>(order: &'a str, group: &str) -> impl Iterator<Item = &'a str> {
    order
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(move |(of, _)| *of == group)
        .map(|(_, file)| file)
}

fn insert(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let none: &CStr = c"";
    // SAFETY: the descriptor is open and the string ends with a zero.
    let done = unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), none.as_ptr(), 0) };
    let error = io::Error::last_os_error();
    // Another group needed it as well.
    if done == 0 || error.raw_os_error() == Some(libc::EEXIST) { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_keeps_its_order_and_leaves_others_out() {
        let order = "core b.ko\ncore a.ko\nvsock c.ko\n";
        assert_eq!(files_of(order, "core").collect::<Vec<_>>(), ["b.ko", "a.ko"]);
        assert_eq!(files_of(order, "erofs").count(), 0);
    }
}
