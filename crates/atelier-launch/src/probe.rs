//! What this machine lacks for the host runtime, in words, and how to get it.
//!
//! Nothing is guessed that can be tried: namespaces and overlays are made for a moment, in a
//! child process.

use std::fs::{OpenOptions, read_to_string};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork, getegid, geteuid};

use crate::layers;

/// One thing that the host runtime needs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Check {
    /// What it is called.
    pub name: String,
    /// Whether it is there.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// How to get it; empty when it is there.
    pub remedy: String,
}

impl Check {
    pub(crate) fn new(name: &str, found: Result<String, (String, String)>) -> Self {
        let name = name.to_owned();
        match found {
            Ok(detail) => Self { name, ok: true, detail, remedy: String::new() },
            Err((detail, remedy)) => Self { name, ok: false, detail, remedy },
        }
    }
}

/// Tries what a launch needs. `home` is `ATELIER_HOME`, on whose file system the layers will lie;
/// it must exist.
#[must_use]
pub fn probe(home: &Path) -> Vec<Check> {
    let trial = Trial::run(home);
    vec![
        Check::new("kernel", kernel()),
        Check::new("namespaces", trial.namespaces()),
        Check::new("overlay", trial.overlay(home)),
        Check::new("procfs", trial.procfs()),
        Check::new("tun", tun()),
        Check::new("seccomp", seccomp()),
        Check::new("surroundings", surroundings()),
    ]
}

pub(crate) type Found = Result<String, (String, String)>;

pub(crate) fn missing(detail: impl Into<String>, remedy: impl Into<String>) -> Found {
    Err((detail.into(), remedy.into()))
}

fn kernel() -> Found {
    let release = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let release = release.trim();
    if version >= (5, 12) {
        Ok(format!("Linux {release}"))
    } else {
        missing(format!("Linux {release}"), "The host runtime needs Linux 5.12 or newer.")
    }
}

/// What the trial child reached, as its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
#[repr(i32)]
enum Trial {
    Nothing = 10,
    UserNamespace = 11,
    Mounts = 12,
    Overlay = 13,
    Everything = 14,
}

impl Trial {
    fn run(home: &Path) -> Self {
        let scratch = home.join(format!(".probe-{}", std::process::id()));
        let reached = Self::run_in(&scratch);
        // The work directory's inner directory has no permissions at all, but is empty.
        drop(std::fs::remove_dir(scratch.join("work/work")));
        drop(std::fs::remove_dir_all(&scratch));
        reached
    }

    fn run_in(scratch: &Path) -> Self {
        let made = layers::private_dir(scratch).and_then(|()| {
            ["lower", "upper", "work", "at", "proc"]
                .iter()
                .try_for_each(|name| layers::private_dir(&scratch.join(name)))
        });
        if made.is_err() {
            return Self::Nothing;
        }
        let code = exit_code_of(|| Self::child(scratch) as i32);
        [Self::UserNamespace, Self::Mounts, Self::Overlay, Self::Everything]
            .into_iter()
            .find(|step| *step as i32 == code)
            .unwrap_or(Self::Nothing)
    }

    fn child(scratch: &Path) -> Self {
        let mut flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID;
        let (uid, gid) = (geteuid(), getegid());
        if !uid.is_root() {
            flags |= CloneFlags::CLONE_NEWUSER;
        }
        if unshare(flags).is_err() {
            return Self::Nothing;
        }
        if !uid.is_root() {
            let maps = std::fs::write("/proc/self/setgroups", "deny")
                .and_then(|()| std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1")))
                .and_then(|()| std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1")));
            if maps.is_err() {
                return Self::Nothing;
            }
        }
        let at = scratch.join("at");
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        let _ = mount(None::<&Path>, "/", None::<&Path>, private, None::<&Path>);
        if mount(Some("tmpfs"), &at, Some("tmpfs"), MsFlags::empty(), None::<&Path>).is_err() {
            return Self::UserNamespace;
        }
        let dir = |name: &str| scratch.join(name);
        if layers::overlay(&at, &[&dir("lower")], &dir("upper"), &dir("work")).is_err() {
            return Self::Mounts;
        }
        let proc = || {
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            i32::from(
                mount(Some("proc"), &dir("proc"), Some("proc"), flags, None::<&Path>).is_err(),
            )
        };
        if exit_code_of(proc) == 0 { Self::Everything } else { Self::Overlay }
    }

    fn namespaces(self) -> Found {
        let root = geteuid().is_root();
        if self >= Self::Mounts {
            return Ok(if root { "as root" } else { "as an ordinary user" }.to_owned());
        }
        if root {
            return missing(
                "root may not make namespaces or mounts here",
                "This is a container without CAP_SYS_ADMIN: give it that capability, run Atelier \
                 as an ordinary user of the machine, or use another runtime.",
            );
        }
        let setting = |name: &str| read_to_string(Path::new("/proc/sys").join(name)).ok();
        let is = |name: &str, value: &str| setting(name).is_some_and(|v| v.trim() == value);
        if is("kernel/unprivileged_userns_clone", "0") {
            return missing(
                "user namespaces are closed to ordinary users",
                "sudo sysctl -w kernel.unprivileged_userns_clone=1 (and the same line in \
                 /etc/sysctl.d/60-atelier.conf, to keep it)",
            );
        }
        if is("user/max_user_namespaces", "0") {
            return missing(
                "no user namespaces are allowed",
                "sudo sysctl -w user.max_user_namespaces=15000 (and the same line in \
                 /etc/sysctl.d/60-atelier.conf, to keep it)",
            );
        }
        if is("kernel/apparmor_restrict_unprivileged_userns", "1") {
            return missing(
                "AppArmor takes the powers of user namespaces away from unknown programs",
                apparmor_remedy(),
            );
        }
        missing(
            "this user may not make user namespaces",
            "A chroot, a container's seccomp profile or a security module forbids it: run \
             Atelier on the machine itself, or as root.",
        )
    }

    fn overlay(self, home: &Path) -> Found {
        match self {
            Self::Overlay | Self::Everything => Ok(format!("layers can lie in {}", home.display())),
            Self::Mounts => missing(
                format!("{} cannot hold the upper layer of an overlay", home.display()),
                "Set ATELIER_HOME to a directory on ext4, xfs (with ftype=1) or btrfs; on \
                 kernels without the module, `sudo modprobe overlay`.",
            ),
            _ => missing("not tried: namespaces are missing", "See `namespaces`."),
        }
    }

    fn procfs(self) -> Found {
        match self {
            Self::Everything => Ok("a process namespace can have its own /proc".to_owned()),
            Self::Overlay => missing(
                "the kernel refuses a new /proc",
                "/proc has other mounts over it, as in an unprivileged container: run Atelier on \
                 the machine itself, or give the container an unmasked /proc.",
            ),
            _ => missing("not tried: something before it is missing", "See the checks above."),
        }
    }
}

fn apparmor_remedy() -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| "/usr/bin/atelier".into());
    format!(
        "Allow it for Atelier: write `abi <abi/4.0>,\\nprofile atelier {} flags=(unconfined) {{ \
         userns, }}` to /etc/apparmor.d/atelier and run `sudo apparmor_parser -r \
         /etc/apparmor.d/atelier` (the same for the atelier-guest binary); or for everybody: sudo \
         sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        program.display()
    )
}

fn tun() -> Found {
    let device = Path::new("/dev/net/tun");
    match OpenOptions::new().read(true).write(true).open(device) {
        Ok(_) => Ok("/dev/net/tun can be opened".to_owned()),
        Err(error) if device.exists() => missing(
            format!("/dev/net/tun cannot be opened: {error}"),
            "sudo chmod 0666 /dev/net/tun (udev's default); without it sandboxes have no network.",
        ),
        Err(_) => missing(
            "/dev/net/tun is missing",
            "sudo modprobe tun; in a container add the device. Without it sandboxes have no \
             network.",
        ),
    }
}

fn seccomp() -> Found {
    if Path::new("/proc/sys/kernel/seccomp/actions_avail").exists() {
        return Ok("system call filters are available".to_owned());
    }
    missing("no system call filters", "The kernel needs CONFIG_SECCOMP_FILTER.")
}

/// A chroot or a container is fine for root, and worth knowing for everybody.
fn surroundings() -> Found {
    let root_of = |pid: &str| Path::new("/proc").join(pid).join("root").metadata().ok();
    let same = match (root_of("1"), root_of("self")) {
        (Some(first), Some(own)) => (first.dev(), first.ino()) == (own.dev(), own.ino()),
        _ => true, // not ours to look at: an ordinary user
    };
    if !same && !geteuid().is_root() {
        return missing("a chroot", "The kernel makes no user namespace in one: run as root.");
    }
    let container =
        ["/.dockerenv", "/run/.containerenv"].iter().any(|file| Path::new(file).exists());
    Ok(match (same, container) {
        (false, _) => "a chroot",
        (_, true) => "a container",
        _ => "a machine of its own",
    }
    .to_owned())
}

/// The exit code of a child that does only `work`; -1 when there was none.
pub(crate) fn exit_code_of(work: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child makes system calls and ends; the C library keeps its allocator usable
    // in a forked child.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            let code = work();
            // SAFETY: ends the child without running what belongs to the parent.
            unsafe { libc::_exit(code) }
        }
        Ok(ForkResult::Parent { child }) => match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => code,
            _ => -1,
        },
        Err(_) => -1,
    }
}
