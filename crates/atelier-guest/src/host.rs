//! What the runtime `host` asks of this binary: [`LaunchRequest`], and (with the feature `host`) the
//! launch itself, which joins the launcher, the network stack and the server in one process image.

use atelier_launch::LaunchSpec;
use atelier_net::Policy;
use serde::{Deserialize, Serialize};

/// Where the sandbox keeps output that outgrows memory. The control plane mounts a folder there.
pub const SPOOL: &str = "/run/atelier";

/// The input of `atelier-guest launch`, as JSON on its standard input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LaunchRequest {
    /// The sandbox.
    pub launch: LaunchSpec,
    /// What its network lets through.
    pub policy: Policy,
    /// The process that asks: a sandbox is not started for one that is gone.
    pub parent: u32,
}

/// Launches, and writes an [`atelier_launch::Report`] to standard output. Gives the exit code.
#[cfg(feature = "host")]
#[must_use]
pub fn launch() -> u8 {
    answer(start)
}

/// Saves the processes of a sandbox as [`atelier_launch::criu::Request`] says, and writes an
/// [`atelier_launch::criu::Answer`] to standard output. Gives the exit code.
#[cfg(feature = "host")]
#[must_use]
pub fn save() -> u8 {
    use std::io::{Read as _, Write as _};

    let mut text = Vec::new();
    let read = std::io::stdin().read_to_end(&mut text);
    let answer = atelier_launch::criu::answer(read.map(|_| text.as_slice()));
    let Ok(line) = serde_json::to_vec(&answer) else { return 1 };
    let mut output = std::io::stdout();
    if output.write_all(&line).and_then(|()| output.flush()).is_ok() { 0 } else { 1 }
}

/// Reads a request from standard input, does what it asks, and writes how that went to standard
/// output. Gives the exit code.
#[cfg(feature = "host")]
pub(crate) fn answer<R: serde::de::DeserializeOwned>(
    start: impl FnOnce(&R) -> atelier_launch::Result<atelier_launch::Started>,
) -> u8 {
    use std::io::{Read as _, Write as _};

    use atelier_launch::{LaunchError, Report};

    let mut text = String::new();
    let request = std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|e| LaunchError::io("read the launch request", None, &e))
        .and_then(|_| {
            serde_json::from_str::<R>(&text)
                .map_err(|e| LaunchError::new("read the launch request", e.to_string()))
        });
    let (report, code) = match request.and_then(|request| start(&request)) {
        Ok(started) => (Report::Started(started), 0),
        Err(error) => (Report::Failed(error), 6),
    };
    let Ok(line) = serde_json::to_vec(&report) else { return 1 };
    let mut output = std::io::stdout();
    if output.write_all(&line).and_then(|()| output.flush()).is_ok() { code } else { 1 }
}

#[cfg(feature = "host")]
fn start(request: &LaunchRequest) -> atelier_launch::Result<atelier_launch::Started> {
    use std::os::unix::net::{UnixListener, UnixStream};

    use atelier_launch::Hooks;
    use atelier_net::{Link, Options};

    let netstack = |socket: UnixStream, orders: UnixListener| {
        let result = atelier_launch::receive_fd(&socket).and_then(|tun| match tun {
            Some(tun) => {
                let options = Options { control: Some(orders), ..Options::default() };
                atelier_net::run(Link::Ip(tun), socket.into(), request.policy.clone(), options)
            }
            // The launch failed before it had a device.
            None => Ok(()),
        });
        if let Err(error) = result {
            eprintln!("network stack: {error}");
        }
    };
    let serve = |served: atelier_launch::Served| {
        let spool = std::path::PathBuf::from(SPOOL);
        let options = crate::ServeOptions {
            spool: spool.is_dir().then_some(spool),
            reap_all: true,
            ..crate::ServeOptions::default()
        };
        if let Err(error) = crate::serve(served.listener, options) {
            eprintln!("guest: {error}");
        }
    };
    if std::os::unix::process::parent_id() != request.parent {
        return Err(atelier_launch::LaunchError::new("launch", "the control plane is gone"));
    }
    let hooks = Hooks {
        netstack: &netstack,
        tun: &|| atelier_net::configure_inside(atelier_net::DEVICE),
        loopback: &atelier_net::loopback_up,
        serve: &serve,
    };
    atelier_launch::launch(&request.launch, &hooks)
}
