//! PID 1 of a sandbox, from the fork to serving.
//!
//! It tells the launcher over one socket how it went, and starts only when the launcher has
//! written down who it is.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{dup2_stdin, sethostname};
use seccompiler::BpfProgram;
use serde::{Deserialize, Serialize};

use crate::error::{At as _, LaunchError, Result};
use crate::hide::{self, Void};
use crate::image::{self, Luggage};
use crate::launch::{Clock, Hooks, Served, send_fd};
use crate::root::Root;
use crate::spec::{LaunchSpec, MountSource, Network, RootSource, Saving, StepTime};
use crate::{confine, criu, filter, layers, mountinfo, namespace, sys, system, view};

/// The name of the socket in the sandbox's directory.
pub const SOCKET: &str = "guest.sock";
/// What the launcher says when PID 1 is on record.
pub const GO: &[u8] = b"go";

/// How it went.
#[derive(Serialize, Deserialize)]
pub enum Reply {
    /// Connections are accepted.
    Ready {
        /// For [`crate::Started`].
        notes: Vec<String>,
        /// For [`crate::Started`].
        steps: Vec<StepTime>,
    },
    /// It is about to end.
    Failed(LaunchError),
}

/// What PID 1 keeps open.
pub struct Held {
    /// The line to the launcher, until it is ready.
    pub line: UnixStream,
    /// The line to the network stack, which ends when this closes.
    pub network: Option<UnixStream>,
    /// Keeps a second sandbox off the same layers.
    pub lock: File,
    /// For the root of an image.
    pub luggage: Option<Luggage>,
}

impl Held {
    /// Their descriptors.
    pub fn fds(&self) -> Vec<RawFd> {
        let mut fds = vec![self.line.as_raw_fd(), self.lock.as_raw_fd()];
        fds.extend(self.network.as_ref().map(AsRawFd::as_raw_fd));
        fds.extend(self.luggage.iter().flat_map(Luggage::fds));
        fds
    }
}

/// Runs PID 1. Returns only when it has nothing left to do.
pub fn main(spec: &LaunchSpec, hooks: &Hooks<'_>, mut held: Held, detached: Result<()>) {
    let mut notes = Vec::new();
    let mut clock = Clock::start();
    let ready = detached.and_then(|()| prepare(spec, hooks, &mut held, &mut notes, &mut clock));
    let reply = match &ready {
        Ok(_) => Reply::Ready { notes, steps: clock.steps },
        Err(error) => Reply::Failed(error.clone()),
    };
    if matches!(&spec.saving, Some(Saving { state: Some(_), .. })) {
        // It comes first, and a word instead when there is none.
        match &ready {
            Ok((listener, _)) => {
                // As the guest left it: what is handed over keeps its own mode.
                drop(listener.set_nonblocking(true));
                drop(listener.try_clone().map(|socket| send_fd(&held.line, &socket.into())));
            }
            Err(_) => drop(held.line.write_all(b"-")),
        }
    }
    // A launcher that has gone does not matter any more: PID 1 is on record.
    drop(serde_json::to_vec(&reply).map(|text| held.line.write_all(&text)));
    let Held { line, network: _network, lock: _lock, luggage: _ } = held;
    let Ok((listener, _range)) = ready else { return };
    match &spec.saving {
        None => {
            drop(line);
            (hooks.serve)(Served { listener });
        }
        Some(saving) => keep(saving, line, Served { listener }, hooks),
    }
}

/// PID 1 of a sandbox whose processes can be saved: the guest is a process of its own.
fn keep(saving: &Saving, mut line: UnixStream, served: Served, hooks: &Hooks<'_>) {
    if saving.state.is_none() {
        drop(line);
        if let Err(error) = criu::start(served, hooks.serve) {
            eprintln!("PID 1: {error}");
            return;
        }
        return criu::keep();
    }
    // The launcher reads to the end before it brings the processes back, with our socket.
    let handed = line.shutdown(std::net::Shutdown::Write);
    let back = handed.and_then(|()| line.read_exact(&mut [0; GO.len()]));
    drop((line, served));
    if back.is_ok() && confine::shut_from_inside().is_ok() {
        criu::wake();
        criu::keep();
    }
}

/// Returns what it serves at, and what it must keep open as long as it lives.
fn prepare(
    spec: &LaunchSpec,
    hooks: &Hooks<'_>,
    held: &mut Held,
    notes: &mut Vec<String>,
    clock: &mut Clock,
) -> Result<(UnixListener, Option<File>)> {
    namespace::enter_inner()?;
    clock.mark("namespaces");
    let programs = if spec.seccomp { Some(filter::programs()?) } else { None };
    clock.mark("build the filter");
    wait_for_go(&held.line)?;
    let listener = listen(&spec.dir, SOCKET)?;
    clock.mark("gate and socket");
    connect(spec, hooks, held.network.as_ref())?;
    clock.mark("network");
    let range = match (&spec.root, held.luggage.take()) {
        (RootSource::Image { layers }, Some(luggage)) => {
            image::open_ports();
            luggage.enter(spec, layers, notes, clock)?
        }
        _ => {
            enter_view(spec, notes, clock)?;
            None
        }
    };
    sethostname(&spec.hostname).step("set the hostname")?;
    let mut keep = held.fds();
    keep.push(listener.as_raw_fd());
    keep.extend(range.as_ref().map(AsRawFd::as_raw_fd));
    sys::close_all_but(&keep).step("close the host's files")?;
    give_up_powers(spec, programs.as_ref().map_or(&[], |programs| programs))?;
    clock.mark("give up powers");
    Ok((listener, range))
}

fn give_up_powers(spec: &LaunchSpec, filter: &[BpfProgram]) -> Result<()> {
    confine::limit_core()?;
    match spec.root {
        RootSource::Machine => {
            confine::drop_capabilities()?;
            confine::no_new_privileges()?;
            filter::install(filter)?;
        }
        // `sudo` works in an image, so here the filter takes a capability that goes after it.
        RootSource::Image { .. } => {
            filter::install(filter)?;
            confine::drop_image_capabilities()?;
        }
    }
    match &spec.saving {
        // The launcher needs our namespaces; nobody else is inside yet.
        Some(Saving { state: Some(_), .. }) => sys::prctl(libc::PR_SET_DUMPABLE, 1).step("wait"),
        _ => confine::shut_from_inside(),
    }
}

fn wait_for_go(mut line: &UnixStream) -> Result<()> {
    let mut word = [0; GO.len()];
    line.read_exact(&mut word).step("wait for the launcher")
}

/// Binds the socket through a descriptor of its directory: the path may be longer than an
/// address holds. Only its owner may connect.
///
/// # Errors
/// When the directory cannot be written.
pub fn listen(dir: &Path, name: &str) -> Result<UnixListener> {
    let bind = || {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = open(dir, flags, Mode::empty())?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", fd.as_raw_fd()));
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let before = umask(Mode::from_bits_truncate(0o177));
        let listener = UnixListener::bind(&path);
        umask(before);
        listener
    };
    bind().at("listen on a socket in", dir)
}

fn connect(spec: &LaunchSpec, hooks: &Hooks<'_>, network: Option<&UnixStream>) -> Result<()> {
    (hooks.loopback)().step("bring loopback up")?;
    let (Network::Tun, Some(line)) = (spec.network, network) else { return Ok(()) };
    let device: OwnedFd = (hooks.tun)().step("make a TUN device").map_err(|error| {
        error.hint(
            "/dev/net/tun must exist and be open to everybody (`modprobe tun`); without it use \
             `--network none`.",
        )
    })?;
    send_fd(line, &device).step("hand over the TUN device")
}

/// Assembles the view and makes it the root.
fn enter_view(spec: &LaunchSpec, notes: &mut Vec<String>, clock: &mut Clock) -> Result<()> {
    umask(Mode::from_bits_truncate(0o022));
    let real_root = namespace::isolate_mounts(!nix::unistd::geteuid().is_root())?;
    let hidden = hide::hidden(spec);
    let table = std::fs::read("/proc/self/mountinfo")
        .step("read the mounts")
        .map_err(|error| error.hint("/proc must be mounted where Atelier runs."))?;
    let mounts = mountinfo::visible(&table);
    let staging = spec.layers_dir.join("view");
    layers::private_dir(&staging).at("make the directory", &staging)?;
    let void = Void::new(&spec.layers_dir.join("void"))?;
    clock.mark("look around");
    let request = view::Request {
        staging: &staging,
        layers_dir: &spec.layers_dir,
        hidden: &hidden,
        user_home: &spec.user_home,
        mounts: &mounts,
    };
    let root = view::build(&request, notes)?;
    clock.mark("view of the machine");
    system::kernel(&root, &void)?;
    clock.mark("proc and sys");
    system::devices(&root)?;
    system::fresh(&root, spec)?;
    clock.mark("dev, run and tmp");
    let targets: Vec<&Path> = spec.mounts.iter().map(|mount| mount.target.as_path()).collect();
    hide::hide(&root, &void, &hidden, &targets)?;
    clock.mark("hide credentials");
    system::names(&root, spec)?;
    for mount in &spec.mounts {
        add_mount(&root, &mount.target, &mount.source)?;
    }
    clock.mark("workspace and names");
    namespace::pivot(root.fd(), real_root.as_ref())?;
    own_null()?;
    clock.mark("change the root");
    Ok(())
}

fn add_mount(root: &Root, target: &Path, source: &MountSource) -> Result<()> {
    match source {
        MountSource::Overlay { lowers, upper, work } => {
            let target = root.ensure_dir(target, 0o755)?;
            let place = PathBuf::from(format!("/proc/self/fd/{}", target.as_raw_fd()));
            let lowers: Vec<&Path> = lowers.iter().map(PathBuf::as_path).collect();
            layers::overlay(&place, &lowers, upper, work).at("mount the workspace over", upper)
        }
        MountSource::Bind { source, readonly } => {
            let place = if source.is_dir() {
                root.ensure_dir(target, 0o755)
            } else {
                root.ensure_file(target)
            };
            root.bind(source, &place?, if *readonly { sys::SAFE | sys::RDONLY } else { sys::SAFE })
        }
    }
}

/// Standard input from the sandbox's own `/dev/null`, so that no file of the host's stays open.
pub fn own_null() -> Result<()> {
    let null = Path::new("/dev/null");
    dup2_stdin(open(null, OFlag::O_RDWR, Mode::empty()).at("open", null)?).at("open", null)
}
