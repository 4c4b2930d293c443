//! A sandbox whose root is an image: from the launcher's side what must be made outside, from
//! PID 1's side putting the root together and entering it.
//!
//! The kernel's file systems are [`crate::system`]'s; nothing of the host is in such a root, so
//! nothing is hidden.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, fstat, umask};
use nix::unistd::{chdir, geteuid};

use crate::error::{At as _, Result};
use crate::hide::Void;
use crate::launch::Clock;
use crate::pieces::{Pieces, Refusal};
use crate::root::Root;
use crate::spec::LaunchSpec;
use crate::users::{self, Users};
use crate::{namespace, sys, system};

/// What Docker's current default masks and the list for every sandbox doesn't.
const MASKED: [&str; 1] = ["/proc/interrupts"];

/// What is made outside, before PID 1.
#[derive(Default)]
pub struct Outside {
    /// The user namespace, unless root inside is root outside.
    pub users: Option<Users>,
    pieces: Option<Pieces>,
}

/// What PID 1 takes along.
pub struct Luggage {
    pieces: Option<Pieces>,
    range: Option<File>,
    /// In a user namespace: whether there is anybody but root.
    many: Option<bool>,
}

impl Outside {
    /// Makes it. As root, where there is no user namespace or no way to lend files its ids, the
    /// sandbox goes without, and a note says so.
    pub fn make(
        spec: &LaunchSpec,
        layers: &[PathBuf],
        notes: &mut Vec<String>,
        clock: &mut Clock,
    ) -> Result<Self> {
        if !geteuid().is_root() {
            let users = Users::of_user(notes)?;
            clock.mark("user namespace");
            return Ok(Self { users: Some(users), pieces: None });
        }
        let why = match Users::of_root(spec.id_base) {
            Ok(users) => {
                clock.mark("user namespace");
                isolate()?;
                let made = Pieces::make(spec, layers, Some(&users), notes);
                chdir("/").step("leave the layers")?;
                clock.mark("layers");
                match made {
                    Ok(pieces) => return Ok(Self { users: Some(users), pieces: Some(pieces) }),
                    Err(Refusal::Launch(error)) => return Err(error),
                    Err(Refusal::Ids(why)) => why,
                }
            }
            Err(error) => error.to_string(),
        };
        notes.push(format!(
            "root inside is root outside, held by Docker's default capabilities and the system \
             call filter only: {why}"
        ));
        Ok(Self::default())
    }

    /// What of it PID 1 needs.
    pub fn pack(&mut self) -> Luggage {
        Luggage {
            pieces: self.pieces.take(),
            range: self.users.as_mut().and_then(|users| users.range.take()),
            many: self.users.as_ref().map(|users| users.many),
        }
    }
}

/// A mount namespace for the launcher, so that the host sees nothing of what it puts together.
pub fn isolate() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).step("make a mount namespace")?;
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&Path>, "/", None::<&Path>, flags, None::<&Path>).step("make the mounts private")
}

impl Luggage {
    /// Its descriptors.
    pub fn fds(&self) -> Vec<RawFd> {
        let range = self.range.iter().map(AsRawFd::as_raw_fd);
        self.pieces.iter().flat_map(Pieces::fds).chain(range).collect()
    }

    /// Puts the root together and makes it ours. Leaves only what must be kept as long as the
    /// sandbox lives.
    pub fn enter(
        self,
        spec: &LaunchSpec,
        layers: &[PathBuf],
        notes: &mut Vec<String>,
        clock: &mut Clock,
    ) -> Result<Option<File>> {
        if let Some(many) = self.many {
            users::become_root(many)?;
        }
        umask(Mode::from_bits_truncate(0o022));
        let real_root = namespace::isolate_mounts(self.many.is_some())?;
        let pieces = match self.pieces {
            Some(pieces) => pieces,
            None => Pieces::make(spec, layers, None, notes).map_err(|refusal| match refusal {
                Refusal::Launch(error) => error,
                Refusal::Ids(why) => crate::LaunchError::new("map ids", why),
            })?,
        };
        clock.mark("layers");
        let root = assemble(spec, pieces, clock)?;
        namespace::pivot(root.fd(), real_root.as_ref())?;
        crate::init::own_null()?;
        clock.mark("change the root");
        Ok(self.range)
    }
}

fn assemble(spec: &LaunchSpec, pieces: Pieces, clock: &mut Clock) -> Result<Root> {
    let slash = Path::new("/");
    chdir(slash).at("enter", slash)?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let host = open(slash, flags, Mode::empty()).at("open", slash)?;
    // On top of the root that we stand in: paths still lead to the host's files.
    sys::attach(&pieces.root, &host).at("attach the image to", slash)?;
    let root = Root::of(pieces.root);
    // The empty things lie where /dev will cover them.
    let void = Void::inside(&root, Path::new("/dev"))?;
    system::kernel(&root, &void)?;
    for path in MASKED {
        void.mask(&root, Path::new(path))?;
    }
    clock.mark("proc and sys");
    system::devices(&root)?;
    clock.mark("dev");
    for (inside, file) in &pieces.files {
        sys::attach(file, root.ensure_file(Path::new(inside))?).at("mount", Path::new(inside))?;
    }
    for (mount, piece) in spec.mounts.iter().zip(&pieces.mounts) {
        let target = target(&root, &mount.target, piece)?;
        sys::attach(piece, target).at("mount", &mount.target)?;
    }
    clock.mark("workspace and names");
    Ok(root)
}

fn target(root: &Root, path: &Path, piece: &OwnedFd) -> Result<OwnedFd> {
    let kind = fstat(piece).at("look at the mount for", path)?.st_mode & libc::S_IFMT;
    let is_dir = kind == SFlag::S_IFDIR.bits();
    if is_dir { root.ensure_dir(path, 0o755) } else { root.ensure_file(path) }
}

/// What Docker sets in a network namespace, so that nobody needs powers for it: ports below 1024
/// for everybody, and echo requests for every group.
pub fn open_ports() {
    let settings = [("ip_unprivileged_port_start", "0"), ("ping_group_range", "0 65535")];
    for (name, value) in settings {
        // Where it can't be set, root can still do both.
        drop(std::fs::write(Path::new("/proc/sys/net/ipv4").join(name), value));
    }
}
