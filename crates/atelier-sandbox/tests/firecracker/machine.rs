//! What stands in for a virtual machine behind the peer: the real guest on the machine's real disks,
//! mounted in namespaces of its own. Instead of a memory it has none: what goes on from a snapshot
//! starts its guest anew on the disk that was saved.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::libc;
use serde_json::{Map, Value};

use crate::peer::Behind;

/// The socket of the guest, in the monitor's folder.
const INNER: &str = "inner.sock";

/// Does as it is told on its input, a word for each line, and answers each by a line. It was started
/// before the monitor lost its rights, and ends with it.
const KEEPER: &str = r#"
    read word && [ "$word" = start ] || exit 0
    setpriv --pdeathsig KILL unshare --mount --uts --ipc --pid --fork --kill-child sh -c '
        set -e
        mount --make-rprivate /
        mount -t tmpfs none /mnt
        mkdir /mnt/base /mnt/layer /mnt/root
        mount -o loop,ro "$1/base" /mnt/base
        mount -o loop "$1/layer" /mnt/layer
        mkdir -p /mnt/layer/upper /mnt/layer/work
        mount -t overlay -o lowerdir=/mnt/base,upperdir=/mnt/layer/upper,workdir=/mnt/layer/work \
            none /mnt/root
        mount -t proc none /mnt/root/proc
        mount --bind /dev /mnt/root/dev
        mount -t tmpfs none /mnt/root/run
        mkdir /mnt/root/run/layer
        mount --bind /mnt/layer/upper /mnt/root/run/layer
        cp "$(ls -t "$2"/atelier-guest-* | head -n 1)" /mnt/root/run/guest
        exec chroot /mnt/root /run/guest serve --listen fd:3 --layer /run/layer
    ' sh "$1" "$2" 0</dev/null 1>&2 &
    machine=$!
    echo done
    while read word; do
        first=$(cat /proc/$machine/task/$machine/children)
        case $word in
            pause) kill -STOP $(pgrep --ns ${first% } --nslist pid .) ;;
            resume) kill -CONT $(pgrep --ns ${first% } --nslist pid .) ;;
        esac
        echo done
    done
"#;

pub struct Machine {
    /// Nobody but root can mount disks, so without root there is none.
    keeper: Option<Keeper>,
    devices: Vec<OwnedFd>,
}

struct Keeper {
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    _shell: Child,
}

impl Machine {
    /// The machine whose monitor runs in `dir`, which is `/` for the monitor in a jail.
    pub fn new(dir: &Path, guests: &Path) -> Self {
        let root = std::fs::read_to_string("/proc/self/uid_map").unwrap();
        // Root of a user namespace is none.
        let root = nix::unistd::geteuid().is_root() && root.trim().ends_with("4294967295");
        Self { keeper: root.then(|| Keeper::start(dir, guests)), devices: Vec::new() }
    }
}

impl Keeper {
    fn start(dir: &Path, guests: &Path) -> Self {
        // The folder's path may be longer than an address can hold.
        let folder = File::open(dir).unwrap();
        let socket = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(INNER);
        let listener = UnixListener::bind(&socket).unwrap();
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o777)).unwrap();
        let mut keeper = Command::new("/bin/sh");
        keeper.args(["-c", KEEPER, "sh"]).arg(dir).arg(guests);
        keeper.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        keeper.stdin(Stdio::piped()).stdout(Stdio::piped());
        let number = listener.as_raw_fd();
        // SAFETY: both calls are safe between fork and exec, and take numbers.
        unsafe {
            keeper.pre_exec(move || {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                if libc::dup2(number, 3) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                // A descriptor that has this number already keeps its mark.
                libc::fcntl(3, libc::F_SETFD, 0);
                Ok(())
            });
        }
        let mut keeper = keeper.spawn().unwrap();
        let orders = keeper.stdin.take().unwrap();
        let answers = BufReader::new(keeper.stdout.take().unwrap());
        Self { orders, answers, _shell: keeper }
    }

    fn order(&mut self, word: &str) -> Result<(), String> {
        let mut done = String::new();
        writeln!(self.orders, "{word}")
            .and_then(|()| self.answers.read_line(&mut done))
            .map_err(|error| format!("the keeper does not {word}: {error}"))?;
        if done == "done\n" { Ok(()) } else { Err(format!("the keeper did not {word}")) }
    }
}

impl Behind for Machine {
    fn start(&mut self, config: &Map<String, Value>) -> Result<(), String> {
        let kvm = File::options().read(true).write(true).open("/dev/kvm");
        self.devices.push(kvm.map_err(|error| format!("Kvm error: {error}"))?.into());
        for (_, link) in config.iter().filter(|(path, _)| path.starts_with("/network-interfaces/"))
        {
            let tap = attach(link["host_dev_name"].as_str().unwrap_or_default());
            self.devices.push(tap.map_err(|error| format!("Open tap device failed: {error}"))?);
        }
        self.keeper.as_mut().map_or(Ok(()), |keeper| keeper.order("start"))
    }

    fn pause(&mut self, paused: bool) -> Result<(), String> {
        let word = if paused { "pause" } else { "resume" };
        self.keeper.as_mut().map_or(Ok(()), |keeper| keeper.order(word))
    }

    fn flush(&mut self) -> Result<(), String> {
        nix::unistd::sync();
        Ok(())
    }

    fn guest(&self) -> Option<PathBuf> {
        self.keeper.is_some().then(|| INNER.into())
    }
}

/// Opens a tap device as Firecracker does (`src/vmm/src/devices/virtio/net/tap.rs`): it must be
/// there, since in a jail nobody may make one.
fn attach(name: &str) -> std::io::Result<OwnedFd> {
    let tun = File::options().read(true).write(true).open("/dev/net/tun")?;
    // SAFETY: all zeros is a valid value of this struct of numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    request.ifr_ifru.ifru_flags = i16::try_from(flags).unwrap();
    // SAFETY: the request reads and writes one ifreq.
    if unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF, &raw mut request) } < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(tun.into())
}
