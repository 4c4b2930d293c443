//! What the root of an image is put together from, as mounts that are attached to nothing yet:
//! the overlay of its layers, the mounts on top, the files that we write for it.
//!
//! Made outside by root, who may lend files other ids; otherwise by PID 1 itself. Putting them
//! together is [`crate::image`]'s.

use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, umask};
use nix::unistd::chdir;

use crate::error::{At as _, LaunchError, Result};
use crate::layers::{self, private_dir};
use crate::spec::{LaunchSpec, MountSource, Network};
use crate::sys;
use crate::system::{self, NAMESERVER};
use crate::users::Users;

/// How many layers an image may have: overlayfs's OVL_MAX_STACK without the one that we add.
pub const MAX_LAYERS: usize = 499;
/// Directories that every root has; they show through where an image lacks them.
const PLACES: [(&str, u32); 6] = [
    ("dev", 0o755),
    ("etc", 0o755),
    ("proc", 0o755),
    ("run", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
];

/// Detached mounts, ready to be put in place.
pub struct Pieces {
    /// The image's layers with the sandbox's own on top.
    pub root: OwnedFd,
    /// What goes on top, in the spec's order.
    pub mounts: Vec<OwnedFd>,
    /// Files of the sandbox, and where they go.
    pub files: Vec<(&'static str, OwnedFd)>,
}

/// Why there are none.
pub enum Refusal {
    /// The kernel maps no ids here: another way may work.
    Ids(String),
    /// No way would work.
    Launch(LaunchError),
}

impl From<LaunchError> for Refusal {
    fn from(error: LaunchError) -> Self {
        Self::Launch(error)
    }
}

type Made<T> = std::result::Result<T, Refusal>;

impl Pieces {
    /// Makes them in the mount namespace that we are in. With `users`, everything shows the ids
    /// that this user namespace maps those on disk to.
    pub fn make(
        spec: &LaunchSpec,
        image: &[PathBuf],
        users: Option<&Users>,
        notes: &mut Vec<String>,
    ) -> Made<Self> {
        let before = umask(Mode::from_bits_truncate(0o022));
        let made = Desk::new(spec, users).and_then(|desk| {
            let root = root(&desk, spec, image)?;
            let mut mounts = Vec::with_capacity(spec.mounts.len());
            for (at, mount) in spec.mounts.iter().enumerate() {
                mounts.push(on_top(&desk, at, &mount.target, &mount.source, notes)?);
            }
            let files = write_files(spec)?.into_iter();
            let files = files.map(|(inside, path)| Ok((inside, desk.copy(&path, false)?)));
            Ok(Self { root, mounts, files: files.collect::<Made<_>>()? })
        });
        umask(before);
        made
    }

    /// Their descriptors.
    pub fn fds(&self) -> impl Iterator<Item = RawFd> {
        let files = self.files.iter().map(|(_, fd)| fd);
        [&self.root].into_iter().chain(&self.mounts).chain(files).map(AsRawFd::as_raw_fd)
    }
}

/// A directory in memory where layers lie under short names, so that any number of them fits
/// into the page that mount(2) takes, whatever their paths hold.
struct Desk<'a> {
    users: Option<&'a Users>,
}

impl<'a> Desk<'a> {
    /// Makes it and stands in it.
    fn new(spec: &LaunchSpec, users: Option<&'a Users>) -> Made<Self> {
        let place = spec.layers_dir.join("view");
        private_dir(&place).at("make the directory", &place)?;
        let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
        mount(Some("tmpfs"), &place, Some("tmpfs"), flags, Some("mode=700,size=4m"))
            .at("mount a tmpfs on", &place)?;
        chdir(&place).at("enter", &place)?;
        Ok(Self { users })
    }

    /// Puts a directory there.
    fn put(&self, name: &str, path: &Path) -> Made<()> {
        if self.users.is_none() {
            return Ok(std::os::unix::fs::symlink(path, name).at("put down", path)?);
        }
        let tree = self.copy(path, false)?;
        let place = || {
            private_dir(Path::new(name))?;
            let flags = nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC;
            sys::attach(&tree, nix::fcntl::open(name, flags, Mode::empty())?)
        };
        Ok(place().at("put down", path)?)
    }

    /// A detached copy of the mount at `path`, with the sandbox's ids.
    fn copy(&self, path: &Path, recursive: bool) -> Made<OwnedFd> {
        let tree =
            sys::clone_tree(AT_FDCWD.as_fd(), path, recursive).at("open the mount of", path)?;
        self.lend(&tree, path, recursive)?;
        Ok(tree)
    }

    fn lend(&self, tree: &OwnedFd, path: &Path, recursive: bool) -> Made<()> {
        let Some(users) = self.users else { return Ok(()) };
        sys::map_ids(tree, users.as_fd(), recursive)
            .at("map the ids of", path)
            .map_err(|error| Refusal::Ids(error.to_string()))
    }

    /// An overlay of what lies here under these names: `NAME.upper`, `NAME.work` and the lowers.
    fn overlay(&self, name: &str, lowers: &[String], flags: MsFlags) -> Made<OwnedFd> {
        let target = Path::new(name);
        let options = format!(
            "userxattr,index=off,lowerdir={},upperdir={name}.own/upper,workdir={name}.own/work",
            lowers.join(":")
        );
        let flags = flags | MsFlags::MS_NODEV;
        let lay = || mount(Some("atelier"), target, Some("overlay"), flags, Some(options.as_str()));
        let make = || {
            private_dir(target)?;
            match self.users {
                // What overlayfs makes for itself must belong to somebody whom the layers know.
                Some(users) => sys::with_file_ids(users.first, lay)??,
                None => lay()?,
            }
            let tree = sys::clone_tree(AT_FDCWD.as_fd(), target, false)?;
            // overlayfs mounts what it can't write to as well, only reading.
            let found = nix::sys::statvfs::fstatvfs(&tree)?;
            let readonly = found.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY);
            if readonly { Err(io::Error::from_raw_os_error(libc::EROFS)) } else { Ok(tree) }
        };
        make().step("mount an overlay").map_err(|error| {
            // Linux knows idmapped mounts since 5.12, and overlays of them since 5.19.
            let maybe = [libc::EINVAL, libc::EOPNOTSUPP, libc::EPERM, libc::EROFS];
            if self.users.is_some() && maybe.contains(&error.errno) {
                return Refusal::Ids(error.to_string());
            }
            error.hint("ATELIER_HOME must be on ext4, xfs (with ftype=1) or btrfs.").into()
        })
    }
}

/// The overlay of the image's layers.
fn root(desk: &Desk<'_>, spec: &LaunchSpec, image: &[PathBuf]) -> Made<OwnedFd> {
    let mode = match image.first() {
        Some(top) => top.metadata().at("look at the layer", top)?.mode(),
        None => 0o755,
    };
    let own =
        layers::prepare_root(&spec.layers_dir, mode).at("make the layer in", &spec.layers_dir)?;
    let skeleton = skeleton(spec)?;
    let mut lowers = Vec::with_capacity(image.len() + 1);
    for (at, path) in image.iter().chain([&skeleton]).enumerate() {
        let name = at.to_string();
        desk.put(&name, path)?;
        lowers.push(name);
    }
    desk.put("root.own", &own)?;
    desk.overlay("root", &lowers, MsFlags::empty())
}

/// The lowest layer: the places that we mount over. Without it they would have to be made in the
/// sandbox's own layer, which holds only what the sandbox did.
fn skeleton(spec: &LaunchSpec) -> Result<PathBuf> {
    let base = files_dir(spec)?.join("skeleton");
    let step = "make the directory";
    let make = |path: &Path, mode| {
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path).at(step, path)?;
        std::fs::set_permissions(path, Permissions::from_mode(mode)).at("set the mode of", path)
    };
    if !base.join("tmp").exists() {
        make(&base, 0o755)?;
        for (name, mode) in PLACES {
            make(&base.join(name), mode)?;
        }
        for name in ["hostname", "hosts", "resolv.conf"] {
            let path = base.join("etc").join(name);
            std::fs::write(&path, b"").at("write", &path)?;
        }
    }
    for mount in &spec.mounts {
        let inside = base.join(mount.target.strip_prefix("/").unwrap_or(&mount.target));
        // One that is in the way of another is made in the sandbox's layer instead.
        let is_file = matches!(&mount.source, MountSource::Bind { source, .. } if source.is_file());
        let parent = inside.parent().filter(|_| is_file).unwrap_or(&inside);
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(parent);
        if is_file && made.is_ok() && !inside.exists() {
            drop(std::fs::write(&inside, b""));
        }
    }
    Ok(base)
}

/// A mount that goes on top of the image.
fn on_top(
    desk: &Desk<'_>,
    at: usize,
    target: &Path,
    source: &MountSource,
    notes: &mut Vec<String>,
) -> Made<OwnedFd> {
    match source {
        MountSource::Overlay { lowers, upper, work } => {
            let name = format!("m{at}");
            let mut names = Vec::with_capacity(lowers.len());
            for (index, lower) in lowers.iter().enumerate() {
                names.push(format!("{name}.{index}"));
                desk.put(&names[index], lower)?;
            }
            // Both must lie on one mount, which is that of what they have in common.
            let common = common(upper, work);
            let (own, shared) = (format!("{name}.own"), format!("{name}.shared"));
            desk.put(&shared, &common)?;
            private_dir(Path::new(&own)).at("put down", &common)?;
            for (path, link) in [(upper, "upper"), (work, "work")] {
                let to = Path::new("..").join(&shared);
                let to = to.join(path.strip_prefix(&common).unwrap_or(path));
                std::os::unix::fs::symlink(to, Path::new(&own).join(link)).at("put down", path)?;
            }
            desk.overlay(&name, &names, MsFlags::MS_NOSUID)
        }
        MountSource::Bind { source, readonly } => {
            let tree = sys::clone_tree(AT_FDCWD.as_fd(), source, true).at("bind", source)?;
            let attributes = if *readonly { sys::SAFE | sys::RDONLY } else { sys::SAFE };
            sys::restrict(&tree, attributes, true).at("bind", source)?;
            if let Err(Refusal::Ids(why)) = desk.lend(&tree, source, true) {
                notes.push(format!("{} belongs to nobody inside: {why}", target.display()));
            }
            Ok(tree)
        }
    }
}

/// The deepest directory that both lie below.
fn common(a: &Path, b: &Path) -> PathBuf {
    let same = a.components().zip(b.components()).take_while(|(a, b)| a == b);
    same.map(|(part, _)| part).collect()
}

/// The files that carry the sandbox's name and its DNS server, as container engines have them:
/// mounted over the image's, so they are part of no layer.
fn write_files(spec: &LaunchSpec) -> Result<[(&'static str, PathBuf); 3]> {
    let dir = files_dir(spec)?;
    let [hostname, hosts, resolv] = ["hostname", "hosts", "resolv.conf"].map(|name| dir.join(name));
    system::write_file(&hostname, format!("{}\n", spec.hostname).as_bytes())?;
    if !hosts.exists() {
        system::write_file(&hosts, &system::with_hostname(b"", &spec.hostname))?;
    }
    let server = match spec.network {
        Network::Tun => format!("nameserver {NAMESERVER}\n"),
        Network::None => String::new(),
    };
    system::write_file(&resolv, server.as_bytes())?;
    Ok([("/etc/hostname", hostname), ("/etc/hosts", hosts), ("/etc/resolv.conf", resolv)])
}

fn files_dir(spec: &LaunchSpec) -> Result<PathBuf> {
    let dir = spec.layers_dir.join("files");
    private_dir(&dir).at("make the directory", &dir)?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_directories_have_their_parent_in_common() {
        let common = |a, b| common(Path::new(a), Path::new(b));
        assert_eq!(common("/a/b/upper", "/a/b/work"), Path::new("/a/b"));
        assert_eq!(common("/a/upper", "/b/work"), Path::new("/"));
    }
}
