//! The launcher's own side: what happens before PID 1 exists, and waiting until it is ready.
//!
//! PID 1's side is [`crate::init`].

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use nix::fcntl::{OFlag, open};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use nix::sys::stat::Mode;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, UnlinkatFlags, dup2_stderr, dup2_stdin, dup2_stdout, fork};
use nix::unistd::{setsid, unlinkat};

use crate::criu::Prepared;
use crate::error::{At as _, LaunchError, Result};
use crate::image::Outside;
use crate::init::{self, Held, Reply};
use crate::instance::Instance;
use crate::spec::{LaunchSpec, Network, Report, RootSource, Saving, Started, StepTime};
use crate::{MAX_LAYERS, cgroup, confine, grants, layers, namespace, sys, users};

/// Where programs are looked for, as login programs set it; names are resolved inside.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The network stack's own socket in the sandbox's directory.
const NETSTACK_SOCKET: &str = "net.sock";

/// What the launcher does not do itself.
pub struct Hooks<'a> {
    /// Runs the network stack, in a process of its own in the host's network namespace. The TUN
    /// device comes over the socket ([`receive_fd`]); when the other end closes, the sandbox is
    /// gone and this returns. The listener is bound to `dir/net.sock`.
    pub netstack: &'a dyn Fn(UnixStream, UnixListener),
    /// Makes and configures the TUN device of the network namespace that it is called in.
    pub tun: &'a dyn Fn() -> io::Result<OwnedFd>,
    /// Brings loopback up in the network namespace that it is called in.
    pub loopback: &'a dyn Fn() -> io::Result<()>,
    /// Serves, as PID 1 of the sandbox. When it returns, the sandbox ends.
    pub serve: &'a dyn Fn(Served),
}

/// What PID 1 serves with.
pub struct Served {
    /// Bound to `dir/guest.sock`.
    pub listener: UnixListener,
}

/// Notes how long each step took.
pub(crate) struct Clock {
    last: Instant,
    pub(crate) steps: Vec<StepTime>,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { last: Instant::now(), steps: Vec::with_capacity(24) }
    }

    pub(crate) fn mark(&mut self, step: &str) {
        let now = Instant::now();
        let micros = (now - self.last).as_micros().try_into().unwrap_or(u32::MAX);
        self.steps.push(StepTime { step: step.to_owned(), micros });
        self.last = now;
    }
}

/// Reads a spec as JSON, launches, and writes a [`Report`] as one line of JSON: the whole of the
/// binary's `launch` subcommand. Returns the exit code.
pub fn run(mut input: impl Read, mut output: impl Write, hooks: &Hooks<'_>) -> u8 {
    let mut text = String::new();
    let spec = input
        .read_to_string(&mut text)
        .map_err(|error| LaunchError::io("read the launch spec", None, &error))
        .and_then(|_| {
            serde_json::from_str(&text)
                .map_err(|error| LaunchError::new("read the launch spec", error.to_string()))
        });
    drop(input);
    let (report, code) = match spec.and_then(|spec| launch(&spec, hooks)) {
        Ok(started) => (Report::Started(started), 0),
        Err(error) => (Report::Failed(error), 6),
    };
    let Ok(mut line) = serde_json::to_vec(&report) else { return 1 };
    line.push(b'\n');
    if output.write_all(&line).and_then(|()| output.flush()).is_ok() { code } else { 1 }
}

/// Starts a sandbox and returns when it can be connected to. The sandbox lives on without the
/// caller.
///
/// Call it in a process of its own, with one thread: it closes every descriptor above 2, enters
/// cgroups and namespaces, empties the environment, and does not undo that. It may return in a
/// child of the caller, while the caller's own process waits and ends with the child's exit code.
///
/// # Errors
/// When a step is refused; then nothing of the sandbox is left.
pub fn launch(spec: &LaunchSpec, hooks: &Hooks<'_>) -> Result<Started> {
    let mut clock = Clock::start();
    sys::close_all_but(&[]).step("close inherited files")?;
    // A caller that is gone can't take the sandbox up: then there must be none. Its children, the
    // sandbox among them, don't inherit this.
    set_pdeathsig(Signal::SIGKILL).step("follow the caller")?;
    check(spec)?;
    sys::set_environment(&[("PATH", OsStr::new(PATH)), ("HOME", spec.user_home.as_os_str())]);
    let dir = open_dir(&spec.dir)?;
    layers::private_dir(&spec.layers_dir).at("make the directory", &spec.layers_dir)?;
    let lock = lock_layers(&spec.layers_dir)?;
    clock.mark("prepare");
    cgroup::enter(&spec.cgroups)?;
    clock.mark("cgroups");
    let back = match &spec.saving {
        Some(Saving { criu, state: Some(state) }) => Some(Prepared::open(criu, state, &spec.dir)?),
        _ => None,
    };
    let (network, netstack) = start_netstack(spec, hooks, &dir)?;
    clock.mark("network stack");
    let started = prepare_root(spec, &mut clock).and_then(|root| {
        let held = (network, lock, root);
        start_init(spec, hooks, &dir, held, (netstack, back), clock)
    });
    if started.is_err() {
        sweep(&dir, netstack);
    }
    started
}

fn check(spec: &LaunchSpec) -> Result<()> {
    grants::check(&spec.grants)?;
    let paths = [&spec.dir, &spec.home, &spec.layers_dir, &spec.user_home];
    let targets = spec.mounts.iter().map(|mount| &mount.target);
    let layers = match &spec.root {
        RootSource::Machine => &[][..],
        RootSource::Image { layers } => layers,
    };
    if layers.len() > MAX_LAYERS {
        let why = format!("an overlay takes up to {MAX_LAYERS}");
        return Err(LaunchError::new(&format!("use {} layers", layers.len()), why));
    }
    spec.id_base.map_or(Ok(()), users::check_base)?;
    for path in paths.into_iter().chain(targets).chain(layers) {
        let plain = path.is_absolute() && !path.components().any(|c| c.as_os_str() == "..");
        if !plain || path.parent().is_none() {
            let why = "it must be absolute, without `..`, and not `/`";
            return Err(LaunchError::new(&format!("use the path {}", path.display()), why));
        }
    }
    Ok(())
}

fn open_dir(path: &Path) -> Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(path, flags, Mode::empty()).at("open the sandbox's directory", path)
}

/// Two overlays on one upper layer would spoil it, so PID 1 holds this lock as long as it lives.
fn lock_layers(layers_dir: &Path) -> Result<File> {
    let step = "lock the layers in";
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    let lock = options.open(layers_dir.join("lock")).at(step, layers_dir)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::Error(error)) => Err(error).at(step, layers_dir),
        Err(TryLockError::WouldBlock) => {
            let mut error = LaunchError::new(step, "a running sandbox uses them");
            error.path = Some(layers_dir.to_owned());
            Err(error.hint("Use that sandbox, or end it first."))
        }
    }
}

/// Takes away what a failed launch left behind.
fn sweep(dir: &OwnedFd, netstack: Option<Pid>) {
    if let Some(pid) = netstack {
        let _ = kill(pid, Signal::SIGKILL);
        let _ = waitpid(pid, None);
    }
    for name in ["pid", "pid.new", init::SOCKET, NETSTACK_SOCKET] {
        let _ = unlinkat(dir, name, UnlinkatFlags::NoRemoveDir);
    }
}

/// Forks the helper that stays in the host's network namespace, and returns our end of its line.
fn start_netstack(
    spec: &LaunchSpec,
    hooks: &Hooks<'_>,
    dir: &OwnedFd,
) -> Result<(Option<UnixStream>, Option<Pid>)> {
    if spec.network == Network::None {
        return Ok((None, None));
    }
    let (ours, theirs) = UnixStream::pair().step("make a socket pair")?;
    let listener = init::listen(&spec.dir, NETSTACK_SOCKET)?;
    let pid = in_child(move || {
        let ready = detach(dir, &[theirs.as_raw_fd(), listener.as_raw_fd()])
            .and_then(|()| confine::no_new_privileges())
            .and_then(|()| confine::drop_all_capabilities());
        match ready {
            Ok(()) => (hooks.netstack)(theirs, listener),
            Err(error) => eprintln!("network stack: {error}"),
        }
    })
    .step("fork the network stack")?;
    Ok((Some(ours), Some(pid)))
}

/// What the sandbox's root needs from outside, and what there is to say about it.
fn prepare_root(spec: &LaunchSpec, clock: &mut Clock) -> Result<(Option<Outside>, Vec<String>)> {
    let mut notes = Vec::new();
    let outside = match &spec.root {
        RootSource::Machine => None,
        RootSource::Image { layers } => Some(Outside::make(spec, layers, &mut notes, clock)?),
    };
    Ok((outside, notes))
}

fn start_init(
    spec: &LaunchSpec,
    hooks: &Hooks<'_>,
    dir: &OwnedFd,
    (network, lock, root): (Option<UnixStream>, File, (Option<Outside>, Vec<String>)),
    (netstack, back): (Option<Pid>, Option<Prepared>),
    mut clock: Clock,
) -> Result<Started> {
    let (line, theirs) = UnixStream::pair().step("make a socket pair")?;
    let (mut outside, mut notes) = root;
    let many = outside.as_ref().and_then(|outside| outside.users.as_ref()).map(|it| it.many);
    namespace::enter_outer(spec, outside.as_ref().and_then(|outside| outside.users.as_ref()))?;
    clock.mark("user and process namespace");
    let luggage = outside.as_mut().map(Outside::pack);
    let pid = in_child(move || {
        let held = Held { line: theirs, network, lock, luggage };
        let detached = detach(dir, &held.fds());
        init::main(spec, hooks, held, detached);
    })
    .step("fork PID 1")?;
    clock.mark("fork");
    let instance = Instance::of(pid.as_raw(), netstack.map(Pid::as_raw))
        .and_then(|instance| instance.store(dir).map(|()| instance))
        .at("write the pid file in", &spec.dir);
    let ready = instance.and_then(|instance| {
        (&line).write_all(init::GO).step("speak to PID 1")?;
        clock.mark("pid file");
        let socket = back.as_ref().map(|_| receive_fd(&line).step("wait for PID 1")).transpose()?;
        let (more, steps) = wait_ready(&line)?;
        notes.extend(more);
        clock.steps.extend(steps);
        clock.mark("wait for PID 1");
        if let (Some(back), Some(Some(socket))) = (&back, &socket) {
            back.restore(pid, socket, many)?;
            (&line).write_all(init::GO).step("speak to PID 1")?;
            clock.mark("bring processes back");
        }
        Ok(Started { instance, notes, steps: clock.steps })
    });
    if ready.is_err() {
        let _ = kill(pid, Signal::SIGKILL);
        let _ = waitpid(pid, None);
    }
    ready
}

fn wait_ready(mut line: &UnixStream) -> Result<(Vec<String>, Vec<StepTime>)> {
    let mut text = Vec::new();
    line.read_to_end(&mut text).step("wait for PID 1")?;
    match serde_json::from_slice(&text) {
        Ok(Reply::Ready { notes, steps }) => Ok((notes, steps)),
        Ok(Reply::Failed(error)) => Err(error),
        Err(_) => Err(LaunchError::new("start PID 1", "it died before it was ready")
            .hint("`log` in the sandbox's directory may say why; so may the kernel's log.")),
    }
}

/// Forks; the child does `work` and nothing else.
///
/// # Errors
/// When the kernel makes no more processes.
pub fn in_child(work: impl FnOnce()) -> nix::Result<Pid> {
    // SAFETY: the launcher has one thread, so the child finds every lock free.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let done = catch_unwind(AssertUnwindSafe(work));
            // SAFETY: ends the process without running what belongs to the parent.
            unsafe { libc::_exit(if done.is_ok() { 0 } else { 101 }) }
        }
    }
}

/// Makes a child independent of whoever started us: session, descriptors, signals, output.
fn detach(dir: &OwnedFd, keep: &[RawFd]) -> Result<()> {
    setsid().step("start a session")?;
    sys::reset_signals();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None).step("unblock signals")?;
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty());
    dup2_stdin(null.step("open /dev/null")?).step("detach")?;
    let flags = OFlag::O_CREAT | OFlag::O_APPEND | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    let log = nix::fcntl::openat(dir, "log", flags, Mode::from_bits_truncate(0o600));
    let log = log.step("open the log")?;
    dup2_stdout(&log).step("detach")?;
    dup2_stderr(&log).step("detach")?;
    drop(log);
    sys::close_all_but(keep).step("close inherited files")
}

/// Sends a descriptor with one byte.
///
/// # Errors
/// When the socket fails.
pub fn send_fd(line: &UnixStream, fd: &OwnedFd) -> io::Result<()> {
    let fds = [fd.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    let byte = [IoSlice::new(b"t")];
    sendmsg::<()>(line.as_raw_fd(), &byte, &rights, MsgFlags::empty(), None)?;
    Ok(())
}

/// Receives the descriptor that PID 1 sends to the network stack; `None` when the other end
/// closed without sending one.
///
/// # Errors
/// When the socket fails.
pub fn receive_fd(line: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut byte = [0];
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let mut buffers = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(line.as_raw_fd(), &mut buffers, Some(&mut space), flags)?;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            let Some(fd) = fds.first() else { continue };
            // SAFETY: the kernel made this descriptor for us with the message.
            return Ok(Some(unsafe { std::os::fd::FromRawFd::from_raw_fd(*fd) }));
        }
    }
    Ok(None)
}
