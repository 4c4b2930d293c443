//! The kernel's own file systems and the fresh places of a sandbox: `/proc`, `/sys`, `/dev`,
//! `/run`, `/tmp`, and the files that carry its name and its DNS server.
//!
//! What is masked here is masked as container engines do; credentials are [`crate::hide`]'s.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;
use nix::unistd::{Gid, Uid, fchown, symlinkat};

use crate::error::{At as _, Result};
use crate::hide::Void;
use crate::layers::private_dir;
use crate::root::Root;
use crate::spec::{LaunchSpec, Network};
use crate::sys;

/// The DNS server of a sandbox with a TUN device: our network stack listens there. The address
/// is from TEST-NET-2 (RFC 5737), so it is nobody's.
pub const NAMESERVER: &str = "198.51.100.3";

/// Parts of procfs and sysfs that tell of the host, or act on it: the OCI default's masked paths.
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
/// More of them where the host's own `/sys` has to be shown: in a fresh one they are empty.
const MASKED_IF_BOUND: [&str; 4] =
    ["/sys/fs/cgroup", "/sys/kernel/debug", "/sys/kernel/security", "/sys/kernel/tracing"];
/// Parts of procfs that uid 0 may write to without any capability.
const FROZEN: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const LINKS: [(&str, &str); 6] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("/proc/kcore", "/dev/core"),
    ("pts/ptmx", "/dev/ptmx"),
];

fn safe() -> MsFlags {
    MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC
}

/// `/proc` and `/sys`.
pub fn kernel(root: &Root, void: &Void) -> Result<()> {
    root.mount_fs("proc", Path::new("/proc"), safe(), "").map_err(|error| {
        if error.errno != libc::EPERM {
            return error;
        }
        error.hint(
            "/proc has other mounts over it, as in an unprivileged container: run Atelier on the \
             machine itself, or give the container an unmasked /proc.",
        )
    })?;
    let sysfs = Path::new("/sys");
    if root.mount_fs("sysfs", sysfs, safe() | MsFlags::MS_RDONLY, "").is_err() {
        let target = root.ensure_dir(sysfs, 0o755)?;
        root.bind(sysfs, &target, sys::RDONLY | sys::SAFE)?;
        for path in MASKED_IF_BOUND {
            void.mask(root, Path::new(path))?;
        }
    }
    for path in FROZEN {
        root.freeze(Path::new(path))?;
    }
    for path in MASKED {
        void.mask(root, Path::new(path))?;
    }
    Ok(())
}

/// `/dev`: the harmless nodes of the host, terminals and shared memory of its own.
pub fn devices(root: &Root) -> Result<()> {
    let dev = Path::new("/dev");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    root.mount_fs("tmpfs", dev, flags, "mode=755,size=1m")?;
    for name in NODES {
        let node = dev.join(name);
        if node.exists() {
            let target = root.ensure_file(&node)?;
            root.bind(&node, &target, libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC)?;
        }
    }
    for (to, link) in LINKS {
        symlinkat(to, root.fd(), &link[1..]).at("make the link", Path::new(link))?;
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    // Group 5 is `tty` everywhere, and does not exist in a user namespace that maps one group.
    let group = if nix::unistd::geteuid().is_root() { ",gid=5" } else { "" };
    let options = format!("newinstance,ptmxmode=0666,mode=0620{group}");
    if root.mount_fs("devpts", Path::new("/dev/pts"), flags, &options).is_err() {
        let options = "newinstance,ptmxmode=0666,mode=0620";
        root.mount_fs("devpts", Path::new("/dev/pts"), flags, options)?;
    }
    root.tmpfs(Path::new("/dev/shm"), 0o1777)?;
    root.mount_fs("mqueue", Path::new("/dev/mqueue"), safe(), "").or_else(|error| {
        // A kernel without POSIX message queues is a kernel that nobody inside expects them of.
        if error.errno == libc::ENODEV { Ok(()) } else { Err(error) }
    })
}

/// `/run`, `/tmp` and, for a user who does not own it, `/var/tmp`.
pub fn fresh(root: &Root, spec: &LaunchSpec) -> Result<()> {
    root.tmpfs(Path::new("/run"), 0o755)?;
    keep_run_links(root)?;
    root.ensure_dir(Path::new("/run/lock"), 0o777)?;
    root.chmod(Path::new("/run/lock"), 0o1777)?;
    let user = PathBuf::from(format!("/run/user/{}", spec.uid));
    root.ensure_dir(&user, 0o700)?;
    if nix::unistd::geteuid().is_root() && spec.uid != 0 {
        let dir = sys::open_in_root(root.fd(), &user, libc::O_RDONLY | libc::O_DIRECTORY);
        let owner = (Some(Uid::from_raw(spec.uid)), Some(Gid::from_raw(spec.gid)));
        fchown(dir.at("open", &user)?, owner.0, owner.1).at("give away", &user)?;
    }
    private_tmp(root, &spec.layers_dir.join("tmp"), Path::new("/tmp"))?;
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    // Its parent is another's, so an overlay of it could not be written to.
    private_tmp(root, &spec.layers_dir.join("var-tmp"), Path::new("/var/tmp"))
}

fn private_tmp(root: &Root, source: &Path, inside: &Path) -> Result<()> {
    // The mode that everybody may write with is kept from the host by the 0700 of its parent.
    if !source.is_dir() {
        private_dir(source).at("make the directory", source)?;
        std::fs::set_permissions(source, std::fs::Permissions::from_mode(0o1777))
            .at("set the mode of", source)?;
    }
    match root.open(inside) {
        Err(_) if inside != Path::new("/tmp") => Ok(()),
        _ => root.bind(source, &root.ensure_dir(inside, 0o1777)?, sys::SAFE),
    }
}

/// Links at the top of the host's `/run` that lead elsewhere are part of the system on some
/// distributions (NixOS finds all of its programs through one).
fn keep_run_links(root: &Root) -> Result<()> {
    for entry in std::fs::read_dir("/run").into_iter().flatten().flatten() {
        let Ok(to) = std::fs::read_link(entry.path()) else { continue };
        if to.is_absolute() && !to.starts_with("/run") {
            let inside = PathBuf::from("run").join(entry.file_name());
            symlinkat(&to, root.fd(), &inside).at("make the link", &inside)?;
        }
    }
    Ok(())
}

/// `/etc/hosts` with the sandbox's own name, and `/etc/resolv.conf` with our name server. Both
/// are files of the sandbox bound over the view's, so they can be edited and stay.
pub fn names(root: &Root, spec: &LaunchSpec) -> Result<()> {
    let files = spec.layers_dir.join("files");
    private_dir(&files).at("make the directory", &files)?;
    let hosts = files.join("hosts");
    if !hosts.exists() {
        let own = read_inside(root, Path::new("/etc/hosts")).unwrap_or_default();
        write_file(&hosts, &with_hostname(&own, &spec.hostname))?;
    }
    bind_file(root, &hosts, Path::new("/etc/hosts"))?;
    if spec.network == Network::Tun {
        let resolv = files.join("resolv.conf");
        write_file(&resolv, format!("nameserver {NAMESERVER}\n").as_bytes())?;
        bind_file(root, &resolv, Path::new("/etc/resolv.conf"))?;
    }
    Ok(())
}

fn bind_file(root: &Root, source: &Path, inside: &Path) -> Result<()> {
    let target = root.ensure_file(inside)?;
    root.bind(source, &target, sys::SAFE)
}

/// Writes a file that everybody may read.
pub fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    std::fs::write(path, content).at("write", path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
        .at("set the mode of", path)
}

fn read_inside(root: &Root, path: &Path) -> io::Result<Vec<u8>> {
    let fd = sys::open_in_root(root.fd(), path, libc::O_RDONLY)?;
    let mut content = Vec::new();
    io::Read::read_to_end(&mut std::fs::File::from(fd), &mut content)?;
    Ok(content)
}

/// A hosts file in which `name` leads to this host; without it `sudo` and `hostname -f` complain.
pub fn with_hostname(hosts: &[u8], name: &str) -> Vec<u8> {
    let mut out = hosts.to_vec();
    if out.is_empty() {
        out.extend(b"127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n");
    }
    if out.last() != Some(&b'\n') {
        out.push(b'\n');
    }
    out.extend(format!("127.0.1.1 {name}\n").bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hostname_is_added_to_a_hosts_file_without_a_last_newline() {
        let hosts = with_hostname(b"127.0.0.1 localhost", "fix-login");
        assert_eq!(hosts, b"127.0.0.1 localhost\n127.0.1.1 fix-login\n");
    }

    #[test]
    fn a_machine_without_a_hosts_file_still_knows_localhost() {
        let hosts = String::from_utf8(with_hostname(b"", "a")).unwrap();
        assert!(hosts.starts_with("127.0.0.1 localhost\n"));
    }
}
