//! `atelier-guest outside`: starts a program with a network stack beside it.
//!
//! The order matters, because the one who asks may be gone at any moment: the program's process is
//! on record (`dir/pid`) before it may do anything, and the stack ends with the launcher until it
//! was told whose life it shares. One thread, since it forks and changes namespaces.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use atelier_launch::parts::{
    At as _, close_all_but, drop_all_capabilities, enter_cgroups, in_child, listen,
    no_new_privileges, pidfd, reset_signals, send_fd, set_environment,
};
use atelier_launch::{Instance, LaunchError, Result, Started, receive_fd};
use atelier_net::{DEVICE, Link, Options, control};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, killpg, sigprocmask};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, dup2_stdin, dup2_stdout, execvpe, getegid, geteuid, setsid};

use super::{GUEST_SOCKET, LINK, LinkKind, OutsideRequest, Overlay};

/// Where programs are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What the launcher says when the program's process is on record.
const GO: &[u8] = b"go";

/// Launches, and writes an [`atelier_launch::Report`] to standard output. Gives the exit code.
#[must_use]
pub fn launch() -> u8 {
    crate::host::answer(start)
}

fn start(request: &OutsideRequest) -> Result<Started> {
    close_all_but(&[]).step("close inherited files")?;
    // A caller that is gone can't take the sandbox up: then there must be none.
    set_pdeathsig(Signal::SIGKILL).step("follow the caller")?;
    if std::os::unix::process::parent_id() != request.parent {
        return Err(LaunchError::new("launch", "the control plane is gone"));
    }
    if request.guest_port.is_some() && request.link == LinkKind::None {
        return Err(LaunchError::new("lead to a port of the guest", "it has no link"));
    }
    set_environment(&[("PATH", OsStr::new(PATH))]);
    let dir = File::open(&request.dir).at("open the sandbox's directory", &request.dir)?;
    enter_cgroups(&request.cgroups)?;
    let mut family = Family::default();
    let started = family.raise(request, &dir);
    if started.is_err() {
        family.end();
        for name in ["pid", "pid.new", GUEST_SOCKET, control::SOCKET] {
            // What is not there needs no removing.
            let _ = std::fs::remove_file(request.dir.join(name));
        }
    }
    started
}

/// The processes that a launch has started.
#[derive(Default)]
struct Family {
    program: Option<Pid>,
    netstack: Option<Pid>,
}

impl Family {
    fn raise(&mut self, request: &OutsideRequest, dir: &File) -> Result<Started> {
        let (ours, theirs) = match request.link {
            LinkKind::Pair => {
                let (ours, theirs) = atelier_net::wire_pair().step("make the link")?;
                (Some(ours), Some(theirs))
            }
            _ => (None, None),
        };
        let line = self.start_netstack(request, ours)?;
        let gate = self.start_program(request, line.as_ref(), theirs.as_ref())?;
        let mut instance = self.record(self.program, dir, &request.dir)?;
        (&gate).write_all(GO).step("speak to the program's process")?;
        wait_for_exec(&gate)?;
        if let Some(pid_file) = &request.pid_file {
            let left = self.wait_for_pid(pid_file)?;
            instance = self.record(Some(left), dir, &request.dir)?;
        }
        if let Some(line) = line {
            let life = pidfd(instance.init.pid).step("open the program's process")?;
            send_fd(&line, &life).step("speak to the network stack")?;
        }
        Ok(Started { instance, notes: Vec::new(), steps: Vec::new() })
    }

    /// Forks the network stack. It takes the link, unless it has it, and later the process that it
    /// lives for from the line whose end is returned.
    fn start_netstack(
        &mut self,
        request: &OutsideRequest,
        device: Option<OwnedFd>,
    ) -> Result<Option<UnixStream>> {
        if request.link == LinkKind::None {
            return Ok(None);
        }
        let (line, theirs) = UnixStream::pair().step("make a socket pair")?;
        let orders = listen(&request.dir, control::SOCKET)?;
        let dial = match request.guest_port {
            Some(port) => vec![(listen(&request.dir, GUEST_SOCKET)?, port)],
            None => Vec::new(),
        };
        let pid = in_child(|| {
            if let Err(error) = be_netstack(request, theirs, device, (orders, dial)) {
                eprintln!("network stack: {error}");
            }
        });
        self.netstack = Some(pid.step("fork the network stack")?);
        Ok(Some(line))
    }

    /// Forks the process that becomes the program when the gate opens.
    fn start_program(
        &mut self,
        request: &OutsideRequest,
        line: Option<&UnixStream>,
        link: Option<&OwnedFd>,
    ) -> Result<UnixStream> {
        let (gate, theirs) = UnixStream::pair().step("make a socket pair")?;
        let pid = in_child(|| {
            let error = become_program(request, &theirs, line, link);
            // A launcher that has gone has no use for it.
            drop(serde_json::to_vec(&error).map(|text| (&theirs).write_all(&text)));
        });
        self.program = Some(pid.step("fork the program's process")?);
        Ok(gate)
    }

    /// Writes down who the sandbox is.
    fn record(&self, program: Option<Pid>, dir: &File, path: &Path) -> Result<Instance> {
        let gone = || LaunchError::new("start the program", "its process is gone").hint(SEE_LOG);
        let program = program.ok_or_else(gone)?;
        let instance =
            Instance::of(program.as_raw(), self.netstack.map(Pid::as_raw)).map_err(|_| gone())?;
        instance.store(dir).at("write the pid file in", path)?;
        Ok(instance)
    }

    /// Waits for the program to end, and reads who it has left behind.
    fn wait_for_pid(&mut self, pid_file: &Path) -> Result<Pid> {
        let Some(program) = self.program else {
            return Err(LaunchError::new("wait for the program", "there is none"));
        };
        let status = waitpid(program, None).step("wait for the program")?;
        let why = match status {
            WaitStatus::Exited(_, 0) => None,
            WaitStatus::Exited(_, code) => Some(format!("it ended with exit code {code}")),
            WaitStatus::Signaled(_, signal, _) => Some(format!("it was ended by {signal}")),
            other => Some(format!("it is {other:?}")),
        };
        if let Some(why) = why {
            return Err(LaunchError::new("start the program", why).hint(SEE_LOG));
        }
        let text = std::fs::read_to_string(pid_file).at("read", pid_file)?;
        let pid = text.trim().parse().map_err(|_| {
            LaunchError::new("read the program's pid file", format!("it says {text:?}"))
        })?;
        Ok(Pid::from_raw(pid))
    }

    /// Ends what was started.
    fn end(&self) {
        for pid in [self.program, self.netstack].into_iter().flatten() {
            // Each leads a session, and so a group. It may have ended, and have been waited for.
            let _ = killpg(pid, Signal::SIGKILL);
            let _ = waitpid(pid, None);
        }
    }
}

const SEE_LOG: &str = "`log` in the sandbox's directory may say why.";

/// Waits until the program runs: then the gate closes without a word.
fn wait_for_exec(mut gate: &UnixStream) -> Result<()> {
    let mut text = Vec::new();
    gate.read_to_end(&mut text).step("wait for the program")?;
    if text.is_empty() {
        return Ok(());
    }
    Err(serde_json::from_slice(&text)
        .unwrap_or_else(|error| LaunchError::new("start the program", error.to_string())))
}

fn be_netstack(
    request: &OutsideRequest,
    line: UnixStream,
    device: Option<OwnedFd>,
    (orders, dial): (UnixListener, Vec<(UnixListener, u16)>),
) -> Result<()> {
    let mut keep = vec![line.as_raw_fd(), orders.as_raw_fd()];
    keep.extend(device.iter().map(AsRawFd::as_raw_fd));
    keep.extend(dial.iter().map(|(listener, _)| listener.as_raw_fd()));
    detach(&keep)?;
    no_new_privileges()?;
    drop_all_capabilities()?;
    let device = match device {
        Some(device) => Some(device),
        None => receive_fd(&line).step("receive the link")?,
    };
    // Without one the launch failed before it had a link.
    let Some(device) = device else { return Ok(()) };
    let link = Link::Ethernet { device, mtu: request.mtu() };
    let rate = request.rate;
    let options = Options { dial, control: Some(orders), rate, ..Options::default() };
    atelier_net::run(link, line.into(), request.policy.clone(), options).step("run")
}

/// Returns only why it did not.
fn become_program(
    request: &OutsideRequest,
    gate: &UnixStream,
    line: Option<&UnixStream>,
    link: Option<&OwnedFd>,
) -> LaunchError {
    match prepare(request, gate, line, link) {
        Ok((arguments, environment)) => execute(&arguments, &environment),
        Err(error) => error,
    }
}

type Strings = Vec<CString>;

/// All that comes before the program: its surroundings, and its arguments and environment.
fn prepare(
    request: &OutsideRequest,
    mut gate: &UnixStream,
    line: Option<&UnixStream>,
    link: Option<&OwnedFd>,
) -> Result<(Strings, Strings)> {
    let mut keep = vec![gate.as_raw_fd()];
    keep.extend(line.map(AsRawFd::as_raw_fd));
    keep.extend(link.map(AsRawFd::as_raw_fd));
    detach(&keep)?;
    let mut word = [0; GO.len()];
    gate.read_exact(&mut word).step("wait for the launcher")?;
    if let Some(line) = line {
        make_link(request, line)?;
    }
    if let Some(link) = link {
        fcntl(link, FcntlArg::F_SETFD(FdFlag::empty())).step("hand the link over")?;
    }
    if request.small_pages {
        nix::sys::prctl::set_thp_disable(true).step("do without huge pages")?;
    }
    if let Some(overlay) = &request.overlay {
        mount_overlay(overlay)?;
    }
    if let Some(pid_file) = &request.pid_file {
        match std::fs::remove_file(pid_file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).at("remove", pid_file);
            }
            _ => {}
        }
        set_pdeathsig(Signal::SIGKILL).step("follow the launcher")?;
    }
    chdir(&request.cwd).at("enter", &request.cwd)?;
    let number = link.map(AsRawFd::as_raw_fd);
    let arguments = request.program.iter().map(|argument| filled(argument, number));
    let environment = request.env.iter().map(|(name, value)| {
        CString::new(format!("{name}={value}")).step("pass a variable with a zero byte")
    });
    Ok((arguments.collect::<Result<_>>()?, environment.collect::<Result<_>>()?))
}

/// An argument with the descriptor's number in it.
fn filled(argument: &Path, link: Option<RawFd>) -> Result<CString> {
    let bytes = argument.as_os_str().as_bytes();
    let bytes = match (link, argument.to_str()) {
        (Some(link), Some(text)) => text.replace(LINK, &link.to_string()).into_bytes(),
        _ => bytes.to_vec(),
    };
    CString::new(bytes).step("pass an argument with a zero byte")
}

/// Makes the namespace and the device, where the link has them, and hands the stack its end.
fn make_link(request: &OutsideRequest, line: &UnixStream) -> Result<()> {
    let make = match request.link {
        LinkKind::Tap => atelier_net::configure_tap,
        LinkKind::Wire => atelier_net::configure_wire,
        LinkKind::Pair | LinkKind::None => return Ok(()),
    };
    enter_namespace()?;
    let device = make(DEVICE, request.mtu()).step("make the network device").map_err(|error| {
        error.hint("/dev/net/tun must exist and be open to everybody (`modprobe tun`).")
    })?;
    if request.link == LinkKind::Tap && Path::new(ROOT_NAMESPACE_SIGN).exists() {
        hide_sign()?;
    }
    send_fd(line, &device).step("hand over the network device")
}

/// What `runsc` of 2022 takes as the sign that it is in the host's own network namespace, where it
/// refuses to start. Kernels since then show it in each namespace.
const ROOT_NAMESPACE_SIGN: &str = "/proc/sys/net/core/rmem_default";

/// Covers the sign, in a mount namespace that follows the host's.
fn hide_sign() -> Result<()> {
    let nothing = None::<&Path>;
    let cover = || {
        own_mounts()?;
        let folder = Path::new(ROOT_NAMESPACE_SIGN).parent().unwrap_or(Path::new("/"));
        mount(Some("none"), folder, Some("tmpfs"), MsFlags::MS_RDONLY, nothing)
    };
    cover().step("hide the host's network settings")
}

/// A mount namespace that follows the host's.
fn own_mounts() -> nix::Result<()> {
    let nothing = None::<&Path>;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(nothing, Path::new("/"), nothing, MsFlags::MS_REC | MsFlags::MS_SLAVE, nothing)
}

fn mount_overlay(overlay: &Overlay) -> Result<()> {
    let (kind, options) = (Some("overlay"), Some(overlay.options.as_str()));
    own_mounts().step("make a mount namespace")?;
    mount(kind, &overlay.target, kind, MsFlags::empty(), options)
        .at("mount the image's layers at", &overlay.target)
}

/// A network namespace of our own. An ordinary user has no power over one without a user namespace,
/// and keeps it through the start of the program only as root in there.
fn enter_namespace() -> Result<()> {
    if geteuid().is_root() {
        return unshare(CloneFlags::CLONE_NEWNET).step("make a network namespace").map_err(
            |error| {
                error.hint("Root in a container needs CAP_SYS_ADMIN; or run as an ordinary user.")
            },
        );
    }
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
        .step("make a user namespace")
        .map_err(|error| error.hint("`atelier doctor` says what this machine lacks for it."))?;
    let maps = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {uid} 1")),
        ("gid_map", format!("0 {gid} 1")),
    ];
    for (file, content) in maps {
        let path = Path::new("/proc/self").join(file);
        std::fs::write(&path, content).at("write", &path)?;
    }
    Ok(())
}

fn execute(arguments: &[CString], environment: &[CString]) -> LaunchError {
    let Some(program) = arguments.first() else {
        return LaunchError::new("run the program", "none was named");
    };
    // Rust ignores it, and programs expect it.
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let Err(error) = execvpe(program, arguments, environment);
    let path = Path::new(OsStr::from_bytes(program.as_bytes()));
    LaunchError::io("run", Some(path), &error.into())
}

/// Makes a child independent of whoever started us: session, descriptors, signals, output.
fn detach(keep: &[RawFd]) -> Result<()> {
    setsid().step("start a session")?;
    reset_signals();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None).step("unblock signals")?;
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty());
    dup2_stdin(null.step("open /dev/null")?).step("detach")?;
    dup2_stdout(io::stderr()).step("detach")?;
    close_all_but(keep).step("close inherited files")
}
