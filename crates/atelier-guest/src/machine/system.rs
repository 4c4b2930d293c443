//! The kernel's own filesystems, and the files by which a machine knows itself.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sys::resource::{Resource, setrlimit};

use super::settings::Settings;
use super::{named, renew};

/// Where output that outgrows memory is kept: a folder of the layer disk.
pub const SPOOL: &str = "/run/atelier";
/// What systemd gives: enough for servers, and `select` still works for those who ask for nothing.
const OPEN_FILES: (u64, u64) = (1024, 524_288);

/// What init needs before it can look around.
pub fn early() -> io::Result<()> {
    own_environment();
    fs::create_dir_all("/proc").and_then(|()| fs::create_dir_all("/sys"))?;
    fs::create_dir_all("/dev")?;
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    on(Path::new("/proc"), "proc", safe, None)?;
    on(Path::new("/sys"), "sysfs", safe, None)?;
    on(Path::new("/dev"), "devtmpfs", MsFlags::MS_NOSUID, Some("mode=755"))
}

/// Everything that is mounted over the image's folders, before `root` becomes the root.
pub fn mounts(root: &Path, spool: &Path) -> io::Result<()> {
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let at = |path: &str| root.join(path);
    on(&at("proc"), "proc", safe, None)?;
    on(&at("sys"), "sysfs", safe, None)?;
    on(&at("dev"), "devtmpfs", MsFlags::MS_NOSUID, Some("mode=755"))?;
    let terminals = Some("gid=5,mode=620,ptmxmode=666");
    on(&at("dev/pts"), "devpts", MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, terminals)?;
    on(&at("dev/shm"), "tmpfs", MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=1777"))?;
    on(&at("run"), "tmpfs", MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=755"))?;
    // A kernel without one of these is a kernel that nobody inside expects them of.
    drop(on(&at("sys/fs/cgroup"), "cgroup2", safe, Some("nsdelegate")));
    drop(on(&at("dev/mqueue"), "mqueue", safe, None));
    let target = root.join(&SPOOL[1..]);
    fs::create_dir_all(&target).map_err(named("making the spool"))?;
    mount(Some(spool), &target, Some("none"), MsFlags::MS_BIND, None::<&str>)
        .map_err(|error| named("mounting the spool")(error.into()))?;
    fs::set_permissions(&target, Permissions::from_mode(0o700)).map_err(named("closing the spool"))
}

/// The rest, when the image's root is ours.
pub fn late(settings: &Settings) -> io::Result<()> {
    for (to, link) in [
        ("/proc/self/fd", "/dev/fd"),
        ("/proc/self/fd/0", "/dev/stdin"),
        ("/proc/self/fd/1", "/dev/stdout"),
        ("/proc/self/fd/2", "/dev/stderr"),
    ] {
        drop(symlink(to, link));
    }
    // The kernel makes it for root alone where no rule of a device manager says otherwise.
    for node in ["/dev/fuse", "/dev/net/tun"] {
        drop(fs::set_permissions(node, Permissions::from_mode(0o666)));
    }
    drop(fs::create_dir_all("/run/lock"));
    drop(fs::set_permissions("/run/lock", Permissions::from_mode(0o1777)));
    for folder in ["/tmp", "/var/tmp"] {
        fs::create_dir_all(folder).map_err(named(format!("making {folder}")))?;
        fs::set_permissions(folder, Permissions::from_mode(0o1777))
            .map_err(named(format!("opening {folder}")))?;
    }
    let _ = setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES.0, OPEN_FILES.1);
    renew::rename(&settings.hostname)
}

fn on(target: &Path, kind: &str, flags: MsFlags, options: Option<&str>) -> io::Result<()> {
    fs::create_dir_all(target).map_err(named(format!("making {}", target.display())))?;
    mount(Some(kind), target, Some(kind), flags, options)
        .map_err(|error| named(format!("mounting {kind} on {}", target.display()))(error.into()))
}

/// The kernel hands unknown words of its command line to init as variables.
fn own_environment() {
    // SAFETY: init has one thread yet, so nobody reads the environment meanwhile.
    unsafe {
        libc::clearenv();
    }
}
