//! What a launch is asked for ([`LaunchSpec`]) and what it answers ([`Started`]).
//!
//! Data only: the control plane depends on this crate for these types. Nothing here touches the
//! machine. Paths survive the trip through JSON even when they are not UTF-8.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::criu::Criu;
use crate::wire;

/// How the processes of a sandbox are saved and brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saving {
    /// What does it.
    pub criu: Criu,
    /// What was saved, when the sandbox goes on from there.
    #[serde(default, with = "wire::maybe_path", skip_serializing_if = "Option::is_none")]
    pub state: Option<PathBuf>,
}

/// One sandbox of the runtime `host` or `oci`, as the launcher needs to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchSpec {
    /// The sandbox's id, for messages.
    pub id: String,
    /// The sandbox's own directory on the host: `guest.sock`, `pid` and `log` are made in it.
    #[serde(with = "wire::path")]
    pub dir: PathBuf,
    /// `ATELIER_HOME`, which nobody inside sees.
    #[serde(with = "wire::path")]
    pub home: PathBuf,
    /// The name that the sandbox's UTS namespace carries.
    pub hostname: String,
    /// Where what the sandbox writes to the machine's view is kept: the upper layers, its `/tmp`,
    /// its `/etc/hosts`. A relaunch with the same directory finds everything again.
    #[serde(with = "wire::path")]
    pub layers_dir: PathBuf,
    /// How its processes are saved, if they can be; for [`RootSource::Image`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saving: Option<Saving>,
    /// What the sandbox's root is made of.
    #[serde(default)]
    pub root: RootSource,
    /// For [`RootSource::Image`] launched by root: the first of the 65,536 ids that stand for
    /// 0..65536 inside. Nobody else may have them. When none is given, the launcher takes a range
    /// that no other sandbox of this machine has.
    #[serde(default)]
    pub id_base: Option<u32>,
    /// Mounts on top of the view, in order: the workspace first of all.
    #[serde(default)]
    pub mounts: Vec<WorkspaceMount>,
    /// Cgroup directories that the launcher enters before it forks.
    #[serde(default, with = "wire::paths")]
    pub cgroups: Vec<PathBuf>,
    /// How the sandbox reaches other machines.
    #[serde(default)]
    pub network: Network,
    /// Names of credential groups that stay visible: see [`crate::grants`]. An image has none.
    #[serde(default)]
    pub grants: Vec<String>,
    /// More paths to hide. In an image nothing is hidden.
    #[serde(default, with = "wire::paths")]
    pub hide_extra: Vec<PathBuf>,
    /// The home directory of the user that the sandbox works for.
    #[serde(with = "wire::path")]
    pub user_home: PathBuf,
    /// The user that the sandbox works for. Without root it must be the launching user. In an
    /// image it does not matter: PID 1 is root there.
    pub uid: u32,
    /// The user's group.
    pub gid: u32,
    /// Whether the system call filter is installed. Off only for finding out what it breaks.
    #[serde(default = "yes")]
    pub seccomp: bool,
}

/// What the root of a sandbox is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RootSource {
    /// This machine's own files, without credentials.
    #[default]
    Machine,
    /// The unpacked layers of an image. What the sandbox changes is in `layers_dir/root/upper`,
    /// with the owners that it has inside, and can be frozen as a layer.
    Image {
        /// The layers, topmost first; up to [`crate::MAX_LAYERS`]. They are only read. A removed
        /// file is a character device 0:0, a folder that hides those below it has the attribute
        /// `user.overlay.opaque` = `y` (overlayfs with `userxattr`). Owners on disk are those
        /// inside; for an ordinary user, whose own id is root's inside, see `/etc/subuid`.
        #[serde(with = "wire::paths")]
        layers: Vec<PathBuf>,
    },
}

/// A directory of the host that is mounted over the view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceMount {
    /// The absolute path inside the sandbox; it is made when it is missing.
    #[serde(with = "wire::path")]
    pub target: PathBuf,
    /// What appears there.
    #[serde(flatten)]
    pub source: MountSource,
}

/// What a [`WorkspaceMount`] shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MountSource {
    /// A copy-on-write layer over read-only ones.
    Overlay {
        /// The layers below, topmost first.
        #[serde(with = "wire::paths")]
        lowers: Vec<PathBuf>,
        /// The layer that takes the writes.
        #[serde(with = "wire::path")]
        upper: PathBuf,
        /// overlayfs's scratch directory, on the file system of `upper`.
        #[serde(with = "wire::path")]
        work: PathBuf,
    },
    /// The directory itself.
    Bind {
        /// The host's directory or file.
        #[serde(with = "wire::path")]
        source: PathBuf,
        /// Whether the sandbox may only read it.
        readonly: bool,
    },
}

/// How a sandbox reaches other machines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Loopback only.
    #[default]
    None,
    /// A TUN device, served by a network stack in a process of its own outside.
    Tun,
}

/// A sandbox that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its processes, also written to `dir/pid`.
    pub instance: crate::Instance,
    /// What is different from the usual, a sentence each: a layer that will not persist, a mount
    /// that is not shown, a user namespace that could not be had.
    pub notes: Vec<String>,
    /// How long each step took, in order.
    pub steps: Vec<StepTime>,
}

/// One step of a launch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTime {
    /// What was done.
    pub step: String,
    /// How long it took, in microseconds.
    pub micros: u32,
}

/// What the launcher prints: one JSON object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The sandbox runs.
    Started(Started),
    /// It does not, and nothing of it is left.
    Failed(crate::LaunchError),
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn a_spec_with_paths_that_are_not_utf8_survives_json() {
        let odd = PathBuf::from(OsStr::from_bytes(b"/data/\xff\xfe, a:b\\c\n"));
        let spec = LaunchSpec {
            id: "a".into(),
            dir: odd.clone(),
            home: "/root/.atelier".into(),
            hostname: "a".into(),
            layers_dir: odd.clone(),
            root: RootSource::Image { layers: vec![odd.clone()] },
            saving: None,
            id_base: Some(0x7000_0000),
            mounts: vec![WorkspaceMount {
                target: odd.clone(),
                source: MountSource::Overlay {
                    lowers: vec![odd.clone(), "/plain".into()],
                    upper: odd.clone(),
                    work: odd.clone(),
                },
            }],
            cgroups: vec![odd],
            network: Network::Tun,
            grants: vec!["ssh".into()],
            hide_extra: vec![],
            user_home: "/root".into(),
            uid: 0,
            gid: 0,
            seccomp: true,
        };
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<LaunchSpec>(&text).unwrap(), spec);
    }

    #[test]
    fn a_spec_that_says_nothing_of_a_root_means_this_machine() {
        let text = r#"{"id": "a", "dir": "/a", "home": "/h", "hostname": "a", "layers_dir": "/l",
                       "user_home": "/root", "uid": 0, "gid": 0}"#;
        let spec = serde_json::from_str::<LaunchSpec>(text).unwrap();
        assert_eq!((spec.root, spec.id_base), (RootSource::Machine, None));
    }
}
