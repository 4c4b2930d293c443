//! What a copy of a machine must not share with the others: its name and its random numbers.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;

use super::named;

/// `_IOW('R', 0x03, int[2])` of linux/random.h: adds bytes to the pool, and counts them.
const RNDADDENTROPY: libc::Ioctl = 0x4008_5203;
/// `_IO('R', 0x07)` of linux/random.h: makes the generator start from the pool again, now.
const RNDRESEEDCRNG: libc::Ioctl = 0x5207;
/// More bytes than this say nothing more to a generator of 256 bits.
const MOST: usize = 256;

/// `struct rand_pool_info` of linux/random.h, with a buffer of a fixed size.
#[repr(C)]
struct PoolInfo {
    bits: libc::c_int,
    bytes: libc::c_int,
    buffer: [u8; MOST],
}

/// Mixes fresh bytes into the kernel's random generator and starts it anew.
///
/// # Errors
/// When the caller is not root.
pub fn reseed(fresh: &[u8]) -> io::Result<()> {
    let fresh = fresh.get(..MOST).unwrap_or(fresh);
    let mut info = PoolInfo { bits: 0, bytes: 0, buffer: [0; MOST] };
    info.buffer[..fresh.len()].copy_from_slice(fresh);
    // At most 256.
    info.bytes = fresh.len() as libc::c_int;
    info.bits = info.bytes * 8;
    let file = File::options().read(true).write(true).open("/dev/urandom")?;
    let fd = file.as_raw_fd();
    // SAFETY: the structure has the kernel's layout and says how long its buffer is.
    if unsafe { libc::ioctl(fd, RNDADDENTROPY, &raw const info) } < 0 {
        return Err(named("adding entropy")(io::Error::last_os_error()));
    }
    // SAFETY: this request takes no argument.
    if unsafe { libc::ioctl(fd, RNDRESEEDCRNG) } < 0 {
        return Err(named("reseeding the random generator")(io::Error::last_os_error()));
    }
    Ok(())
}

/// Gives the machine a name, for the kernel and in `/etc`.
///
/// # Errors
/// When the name is longer than 64 bytes, or `/etc` can't be written.
pub fn rename(name: &str) -> io::Result<()> {
    let old = nix::unistd::gethostname().unwrap_or_default();
    nix::unistd::sethostname(name).map_err(|error| named("setting the hostname")(error.into()))?;
    fs::create_dir_all("/etc")?;
    fs::write("/etc/hostname", format!("{name}\n")).map_err(named("writing /etc/hostname"))?;
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let hosts = with_name(&hosts, &old.to_string_lossy(), name);
    fs::write("/etc/hosts", hosts).map_err(named("writing /etc/hosts"))
}

/// A hosts file in which `name` leads to this machine, and the name that it had no more.
fn with_name(hosts: &str, old: &str, name: &str) -> String {
    let ours = format!("127.0.1.1 {old}");
    let mut lines: Vec<&str> = hosts.lines().filter(|line| *line != ours).collect();
    if !hosts.contains("localhost") {
        lines.insert(0, "127.0.0.1 localhost");
        lines.insert(1, "::1 localhost ip6-localhost ip6-loopback");
    }
    let mut text = lines.join("\n");
    text.push_str(&format!("\n127.0.1.1 {name}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_name_replaces_the_first() {
        let first = with_name("", "(none)", "a");
        assert!(first.starts_with("127.0.0.1 localhost\n"), "{first}");
        let second = with_name(&first, "a", "b");
        assert!(second.ends_with("\n127.0.1.1 b\n"), "{second}");
        assert!(!second.contains("127.0.1.1 a"), "{second}");
    }

    #[test]
    fn entries_of_the_image_stay() {
        let hosts = with_name("127.0.0.1 localhost\n10.0.0.1 db\n", "a", "b");
        assert_eq!(hosts, "127.0.0.1 localhost\n10.0.0.1 db\n127.0.1.1 b\n");
    }
}
