//! The far end of a connection: a socket of the host's network, our own nameserver, or whoever
//! connected from outside.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

use super::gate::Way;

/// One end of a byte stream, read and written where smoltcp's buffers are.
pub(super) enum Peer {
    Out(TcpStream),
    /// The other end is held by the nameserver, or by a process of the host.
    Local(UnixStream),
}

impl Peer {
    /// Connects as the gate said. For [`Way::Dns`] the stream's other end is returned with it.
    pub(super) async fn dial(way: Way) -> io::Result<(Self, Option<UnixStream>)> {
        match way {
            Way::Out(to) => Ok((Self::Out(connect(to).await?), None)),
            Way::Host(port) => Ok((Self::Out(connect_host(port).await?), None)),
            Way::Dns => {
                let (near, far) = UnixStream::pair()?;
                Ok((Self::Local(near), Some(far)))
            }
            Way::Denied => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }

    /// The socket of the host's network that it is, if it is one.
    pub(super) fn into_server(self) -> io::Result<OwnedFd> {
        match self {
            Self::Out(stream) => Ok(stream.into_std()?.into()),
            Self::Local(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Out(stream) => stream.try_read(buffer),
            Self::Local(stream) => stream.try_read(buffer),
        }
    }

    pub(super) fn try_write(&self, data: &[u8]) -> io::Result<usize> {
        match self {
            Self::Out(stream) => stream.try_write(data),
            Self::Local(stream) => stream.try_write(data),
        }
    }

    /// Waits until it can be read or written, as asked for; for ever when for neither.
    pub(super) async fn ready(&self, read: bool, write: bool) {
        let interest = match (read, write) {
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (true, false) => Interest::READABLE,
            (false, true) => Interest::WRITABLE,
            (false, false) => return std::future::pending().await,
        };
        // An error shows itself again in the read or the write.
        let _ = match self {
            Self::Out(stream) => stream.ready(interest).await,
            Self::Local(stream) => stream.ready(interest).await,
        };
    }

    /// Says that no more data comes from the sandbox.
    pub(super) fn finish(&self) {
        // SAFETY: the descriptor is open, and no pointers are passed.
        unsafe { libc::shutdown(self.fd(), libc::SHUT_WR) };
    }

    /// Closes with a reset instead of an end of data.
    pub(super) fn reset(self) {
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        set_option(self.fd(), libc::SOL_SOCKET, libc::SO_LINGER, &linger);
    }

    fn fd(&self) -> RawFd {
        match self {
            Self::Out(stream) => stream.as_raw_fd(),
            Self::Local(stream) => stream.as_raw_fd(),
        }
    }
}

async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to).await?;
    // The sandbox's own kernel gathers small writes where its program wants that.
    stream.set_nodelay(true)?;
    keep_alive(stream.as_raw_fd());
    Ok(stream)
}

/// The probes of a program inside end at this process, which always answers. So that it still
/// learns of a server that vanished, and that routers do not forget a quiet connection, the host
/// probes: after two minutes, every 30 seconds, six times.
fn keep_alive(fd: RawFd) {
    let options = [
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1),
        (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 120),
        (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, 30),
        (libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 6),
    ];
    for (level, name, value) in options {
        set_option::<libc::c_int>(fd, level, name, &value);
    }
}

/// Sets a socket option. One that the kernel refuses stays as it was.
fn set_option<T>(fd: RawFd, level: libc::c_int, name: libc::c_int, value: &T) {
    let size = libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0);
    // SAFETY: the descriptor is open; pointer and length are those of one live value.
    unsafe { libc::setsockopt(fd, level, name, std::ptr::from_ref(value).cast(), size) };
}

/// A service on the host may listen on either loopback address.
async fn connect_host(port: u16) -> io::Result<TcpStream> {
    match connect((Ipv4Addr::LOCALHOST, port).into()).await {
        Err(first) => connect((Ipv6Addr::LOCALHOST, port).into()).await.map_err(|_| first),
        stream => stream,
    }
}
