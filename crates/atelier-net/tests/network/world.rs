//! Two network namespaces and the stack between them: a "host" with addresses of its own, and a
//! sandbox whose only way out is the stack.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use atelier_net::{Link, Mode, Options, Policy};
use simple_dns::rdata::{A, AAAA, RData};
use simple_dns::{CLASS, Packet, QTYPE, RCODE, ResourceRecord, TYPE};

/// The host's address on a network that sandboxes may reach.
pub const HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
/// Where the host's nameserver listens.
const NAMESERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 53);
/// Long enough that only a hang reaches it.
pub const LIMIT: Duration = Duration::from_secs(30);

/// How the sandbox's device and the stack are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wiring {
    /// A TUN device.
    Tun,
    /// A TAP device in the sandbox's namespace, with this MTU.
    Tap(u16),
    /// A TAP device in a namespace of its own, which a machine monitor opens by its name.
    Wire(u16),
    /// A pair of sockets, of which a machine monitor inherits one.
    Pair(u16),
}

impl Wiring {
    /// Every Ethernet link, with the MTU that guests have as a rule.
    pub const ETHERNET: [Self; 3] = [Self::Tap(1500), Self::Wire(1500), Self::Pair(1500)];

    /// Makes a sandbox's namespace, and the stack's end of its link.
    pub fn make(self) -> (File, Link) {
        match self {
            Self::Tun => {
                let (sandbox, tun) =
                    new_namespace(|| atelier_net::configure_inside("eth0").unwrap());
                (sandbox, Link::Ip(tun))
            }
            Self::Tap(mtu) => {
                let (sandbox, device) = machine(mtu);
                (sandbox, Link::Ethernet { device, mtu })
            }
            Self::Wire(mtu) => {
                let (sandbox, card) = machine(mtu);
                let (_, (device, monitor)) = new_namespace(move || {
                    let ours = atelier_net::configure_wire("tap0", mtu).unwrap();
                    (ours, open_tap("tap0"))
                });
                forward(&card, &monitor);
                (sandbox, Link::Ethernet { device, mtu })
            }
            Self::Pair(mtu) => {
                let (sandbox, card) = machine(mtu);
                let (device, monitor) = atelier_net::wire_pair().unwrap();
                forward(&card, &monitor);
                (sandbox, Link::Ethernet { device, mtu })
            }
        }
    }
}

/// A kernel with a network card of its own: a namespace, and what leaves and enters the card.
pub fn machine(mtu: u16) -> (File, OwnedFd) {
    new_namespace(move || atelier_net::configure_tap("eth0", mtu).unwrap())
}

/// Opens a TAP device that is there already, as a machine monitor does.
fn open_tap(name: &str) -> OwnedFd {
    let tap = File::options().read(true).write(true).open("/dev/net/tun").unwrap();
    // SAFETY: ifreq is plain data for which all-zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the descriptor is a TUN control file and the request lives through the call.
    let done = unsafe { libc::ioctl(tap.as_raw_fd(), libc::TUNSETIFF as _, &raw const request) };
    assert_eq!(done, 0, "opening {name}: {}", std::io::Error::last_os_error());
    tap.into()
}

/// Carries frames both ways between a card and the link, as a machine monitor does.
pub fn forward(card: &OwnedFd, link: &OwnedFd) {
    let copy = |from: &OwnedFd, to: &OwnedFd| {
        let from = File::from(from.try_clone().unwrap());
        let to = File::from(to.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut frame = vec![0; 65_536];
            while let Ok(n) = (&from).read(&mut frame) {
                if (&to).write(&frame[..n]).is_err() {
                    return;
                }
            }
        });
    };
    copy(card, link);
    copy(link, card);
}

/// A host, a sandbox, and the stack that joins them. Dropping it ends all three.
pub struct World {
    host: File,
    sandbox: File,
    control: Option<OwnedFd>,
    stack: Option<JoinHandle<std::io::Result<()>>>,
    pub folder: tempfile::TempDir,
}

impl World {
    /// A world with a policy. The rules are as a user writes them.
    pub fn new(mode: Mode, rules: &[&str]) -> Self {
        Self::with(mode, rules, |_| {})
    }

    /// The same with changed options.
    pub fn with(mode: Mode, rules: &[&str], change: impl FnOnce(&mut Options)) -> Self {
        Self::wired(Wiring::Tun, mode, rules, change)
    }

    /// The same over another link.
    pub fn wired(
        wiring: Wiring,
        mode: Mode,
        rules: &[&str],
        change: impl FnOnce(&mut Options),
    ) -> Self {
        let (sandbox, link) = wiring.make();
        Self::joined(sandbox, link, mode, rules, change)
    }

    /// The same with a sandbox and a link that are there.
    pub fn joined(
        sandbox: File,
        link: Link,
        mode: Mode,
        rules: &[&str],
        change: impl FnOnce(&mut Options),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options {
            resolv_conf: folder.path().join("resolv.conf"),
            hosts: folder.path().join("hosts"),
            ..Options::default()
        };
        std::fs::write(&options.resolv_conf, format!("nameserver {NAMESERVER}\n")).unwrap();
        change(&mut options);
        let (host, ()) = new_namespace(|| {
            atelier_net::loopback_up().unwrap();
            for address in ["203.0.113.1/32", "203.0.113.53/32", "192.0.2.1/32"] {
                ip(&["addr", "add", address, "dev", "lo"]);
            }
            ip(&["addr", "add", "2001:db8::1/128", "dev", "lo", "nodad"]);
            reachable("[2001:db8::1]:1");
        });
        let (ours, theirs) = std::io::pipe().unwrap();
        let allow = rules.iter().map(|r| r.parse().unwrap()).collect();
        let policy = Policy { mode, allow, ..Policy::default() };
        let outside = host.try_clone().unwrap();
        let stack = std::thread::spawn(move || {
            enter(&outside);
            atelier_net::run(link, ours.into(), policy, options)
        });
        Self { host, sandbox, control: Some(theirs.into()), stack: Some(stack), folder }
    }

    /// Runs something in the sandbox and waits for it.
    pub fn inside<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T {
        self.spawn_inside(f).join().unwrap()
    }

    /// Runs something in the sandbox.
    pub fn spawn_inside<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        in_namespace(&self.sandbox, f)
    }

    /// Runs something on the host and waits for it.
    pub fn outside<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T {
        in_namespace(&self.host, f).join().unwrap()
    }

    /// A listener on the host, at a free port of an address.
    pub fn listen(&self, ip: impl Into<IpAddr>) -> TcpListener {
        let ip = ip.into();
        self.outside(move || TcpListener::bind((ip, 0)).unwrap())
    }

    /// A datagram socket on the host, at a free port of an address.
    pub fn datagrams(&self, ip: impl Into<IpAddr>) -> UdpSocket {
        let ip = ip.into();
        let socket = self.outside(move || UdpSocket::bind((ip, 0)).unwrap());
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket
    }

    /// Starts the host's nameserver with names and their addresses, over UDP and TCP. The receiver
    /// hears each name that it is asked for.
    pub fn nameserver(&self, names: &'static [(&str, &str)]) -> mpsc::Receiver<String> {
        let (tell, asked) = mpsc::channel();
        let (udp, tcp) = self.outside(|| {
            let udp = UdpSocket::bind((NAMESERVER, 53)).unwrap();
            (udp, TcpListener::bind((NAMESERVER, 53)).unwrap())
        });
        let tell_too = tell.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((n, from)) = udp.recv_from(&mut buffer) {
                let reply = reply(&buffer[..n], names, &tell);
                udp.send_to(&reply, from).unwrap();
            }
        });
        std::thread::spawn(move || {
            for mut stream in tcp.incoming().flatten() {
                if let Some(question) = read_framed(&mut stream) {
                    write_framed(&mut stream, &reply(&question, names, &tell_too));
                }
            }
        });
        asked
    }

    /// Whether the stack still runs.
    pub fn runs(&self) -> bool {
        self.stack.as_ref().is_some_and(|s| !s.is_finished())
    }

    /// Closes the control end and returns how the stack ended.
    pub fn close(&mut self) -> std::io::Result<()> {
        self.control = None;
        self.stack.take().map_or(Ok(()), |stack| stack.join().unwrap())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let ended = self.close();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

fn reply(question: &[u8], names: &[(&str, &str)], tell: &mpsc::Sender<String>) -> Vec<u8> {
    let query = Packet::parse(question).unwrap();
    let question = query.questions[0].clone();
    let name = question.qname.to_string().to_ascii_lowercase();
    let _ = tell.send(name.clone());
    let mut reply = Packet::new_reply(query.id());
    reply.questions.push(question.clone());
    let known: Vec<_> = names.iter().filter(|(n, _)| *n == name).collect();
    if known.is_empty() {
        *reply.rcode_mut() = RCODE::NameError;
    }
    for (_, ip) in known {
        let data = match (ip.parse().unwrap(), question.qtype) {
            (IpAddr::V4(ip), QTYPE::TYPE(TYPE::A)) => RData::A(A::from(ip)),
            (IpAddr::V6(ip), QTYPE::TYPE(TYPE::AAAA)) => RData::AAAA(AAAA::from(ip)),
            _ => continue,
        };
        reply.answers.push(ResourceRecord::new(question.qname.clone(), CLASS::IN, 30, data));
    }
    reply.build_bytes_vec_compressed().unwrap()
}

/// Reads a DNS message of a TCP connection.
pub fn read_framed(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

/// Writes a DNS message to a TCP connection.
pub fn write_framed(stream: &mut impl Write, message: &[u8]) {
    let mut framed = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).unwrap();
}

/// A connection from this thread's namespace, with the time limit of the tests.
pub fn connect(to: impl Into<SocketAddr>) -> std::io::Result<std::net::TcpStream> {
    let stream = std::net::TcpStream::connect_timeout(&to.into(), LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}

/// Runs `f` in a thread with a new network namespace. The namespace lives as long as the file.
fn new_namespace<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> (File, T) {
    let thread = std::thread::spawn(move || {
        // SAFETY: only this thread's namespace changes, and no pointers are passed.
        let done = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        assert_eq!(done, 0, "a new network namespace: {}", std::io::Error::last_os_error());
        let result = f();
        (File::open("/proc/thread-self/ns/net").unwrap(), result)
    });
    thread.join().unwrap()
}

fn in_namespace<T: Send + 'static>(
    namespace: &File,
    f: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let namespace = namespace.try_clone().unwrap();
    std::thread::spawn(move || {
        enter(&namespace);
        f()
    })
}

fn enter(namespace: &File) {
    // SAFETY: only this thread's namespace changes, and no pointers are passed.
    let done = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(done, 0, "entering a namespace: {}", std::io::Error::last_os_error());
}

/// Waits until an address of our own takes connections: the kernel makes the route of an IPv6
/// address after it has answered, by and by.
fn reachable(address: &str) {
    let address: SocketAddr = address.parse().unwrap();
    let end = std::time::Instant::now() + LIMIT;
    loop {
        let error = connect(address).unwrap_err();
        if error.kind() == std::io::ErrorKind::ConnectionRefused {
            return;
        }
        assert!(std::time::Instant::now() < end, "{address} is not reachable: {error}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().unwrap().success(), "ip {arguments:?}");
}

/// Replaces a file's text in one step, as editors do.
pub fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}
