//! What runtimes that are programs of their own (a machine monitor, `runsc`) ask of this binary:
//! [`OutsideRequest`], and (with the feature `host`) the launch itself, which puts a network stack
//! beside the program. What the program is told, and what runs inside it, is the runtime's
//! business.

#[cfg(feature = "host")]
mod launch;

use std::collections::BTreeMap;
use std::path::PathBuf;

use atelier_launch::wire;
use atelier_net::{Addresses, Policy};
use serde::{Deserialize, Serialize};

#[cfg(feature = "host")]
pub use launch::launch;

/// The socket in the sandbox's folder that leads to [`OutsideRequest::guest_port`].
pub const GUEST_SOCKET: &str = "guest.sock";
/// Stands for the number of the inherited descriptor in the arguments of a program that has a
/// [`LinkKind::Pair`].
pub const LINK: &str = "{link}";

/// The input of `atelier-guest outside`, as JSON on its standard input. The answer on its standard
/// output is an [`atelier_launch::Report`], in which `init` is the program's process.
///
/// The program starts in a session of its own, with nothing as its input, and its output goes to
/// the launcher's standard error, as does what the network stack has to say. It lives on without
/// the launcher; when it ends, so does the network stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutsideRequest {
    /// The sandbox's own directory: `guest.sock`, `net.sock` ([`atelier_net::control`]) and `pid`
    /// are made in it.
    #[serde(with = "wire::path")]
    pub dir: PathBuf,
    /// Cgroup directories that are entered before anything is started.
    #[serde(default, with = "wire::paths")]
    pub cgroups: Vec<PathBuf>,
    /// How the program is joined to the network stack.
    #[serde(default)]
    pub link: LinkKind,
    /// The MTU of the link; see [`OutsideRequest::mtu`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// Who connects to `guest.sock` is carried to this port of [`Addresses::SANDBOX_V4`].
    #[serde(default)]
    pub guest_port: Option<u16>,
    /// What the network lets through.
    pub policy: Policy,
    /// How many bytes pass in a second, each way; see [`atelier_net::Options::rate`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// The program and its arguments. Paths, since each may be one that is not UTF-8. A name
    /// without a slash is looked for where programs are.
    #[serde(with = "wire::paths")]
    pub program: Vec<PathBuf>,
    /// Its whole environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The folder that it starts in.
    #[serde(with = "wire::path")]
    pub cwd: PathBuf,
    /// For a program that starts another in the background and ends (`runsc run --detach
    /// --pid-file`): the file in which it leaves the other's process id, which is then the one
    /// that counts. The launcher waits for the program to end, and takes it along if it is killed
    /// meanwhile.
    #[serde(default, with = "wire::maybe_path")]
    pub pid_file: Option<PathBuf>,
    /// An overlay for the program, in a mount namespace of its own that follows the host's: with the
    /// program it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlay: Option<Overlay>,
    /// Whether the program gets no huge pages: one of which many run, and each uses a little of what
    /// it maps.
    #[serde(default)]
    pub small_pages: bool,
    /// The process that asks: nothing is started for one that is gone.
    pub parent: u32,
}

/// An overlay that the launcher mounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overlay {
    /// The options of the mount: `lowerdir=...,upperdir=...,workdir=...`.
    pub options: String,
    /// Where it is mounted.
    #[serde(with = "wire::path")]
    pub target: PathBuf,
}

/// How a program is joined to the network stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// Not at all: there is no stack, and no namespace is made. The program has the network that
    /// the launcher has, so it must be one that gives its guest none.
    #[default]
    None,
    /// A network namespace with the TAP device `eth0`, which has the addresses and the routes of
    /// [`Addresses`]. For gVisor.
    ///
    /// What `runsc` does with it (tried with the release of December 2022, `--network=sandbox`): it
    /// reads addresses, routes, hardware address and MTU of each device of the namespace, takes the
    /// addresses away, and from then on reads and writes frames through a packet socket of its own.
    /// What it needs for that:
    /// - a network namespace with a path in `config.json`, or it makes an empty one:
    ///   `{"type": "network", "path": "/proc/self/ns/net"}` is the launcher's;
    /// - no `/proc/sys/net/core/rmem_default`, which it takes for the sign of the host's own
    ///   namespace, though kernels of today have it in each. The launcher covers that folder, in a
    ///   mount namespace that follows the host's;
    /// - a large MTU: its ring holds 32 frames of whatever length and drops the rest. With 1500
    ///   bytes downloads are a fifth as fast;
    /// - no offloads, which a TAP device has off.
    ///
    /// For an ordinary user, who is root in a user namespace of the launcher's, it does not come up:
    /// it wants to become `nobody`, whose id is not mapped there, and with `--rootless` it refuses
    /// `--network=sandbox`.
    Tap,
    /// A network namespace with the TAP device `eth0`, which the program opens itself by that
    /// name, and which has no addresses. For Firecracker.
    Wire,
    /// A pair of sockets, one of which the program inherits: [`LINK`] in its arguments becomes its
    /// number. Each message is a frame. Needs no namespace. For QEMU: `-netdev
    /// dgram,id=n,local.type=fd,local.str={link}` (from 7.2 on) or `-netdev socket,id=n,fd={link}`.
    Pair,
}

impl OutsideRequest {
    /// The longest IP packet of the link. A guest whose device is not read by the runtime (that is,
    /// with [`LinkKind::Wire`] and [`LinkKind::Pair`]) must be set to the same or more.
    #[must_use]
    pub fn mtu(&self) -> u16 {
        self.mtu.unwrap_or(match self.link {
            LinkKind::Tap => Addresses::MTU_TAP,
            _ => Addresses::MTU_ETHERNET,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_request_is_enough() {
        let text = r#"{"dir": "/s", "policy": {}, "program": ["runsc", "run"], "cwd": "/",
                       "link": "tap", "parent": 7}"#;
        let request: OutsideRequest = serde_json::from_str(text).unwrap();
        assert_eq!((request.link, request.mtu()), (LinkKind::Tap, Addresses::MTU_TAP));
        let again = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<OutsideRequest>(&again).unwrap(), request);
    }
}
