//! The far end of a connection: a socket of the host's network, or our own nameserver.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};

use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

use super::gate::Way;

/// One end of a byte stream, read and written where smoltcp's buffers are.
pub(super) enum Peer {
    Out(TcpStream),
    /// The other end is held by the nameserver.
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
        let size = libc::socklen_t::try_from(size_of::<libc::linger>()).unwrap_or(0);
        let value = (&raw const linger).cast();
        // SAFETY: the descriptor is open; pointer and length are those of one live struct.
        unsafe { libc::setsockopt(self.fd(), libc::SOL_SOCKET, libc::SO_LINGER, value, size) };
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
    Ok(stream)
}

/// A service on the host may listen on either loopback address.
async fn connect_host(port: u16) -> io::Result<TcpStream> {
    match connect((Ipv4Addr::LOCALHOST, port).into()).await {
        Err(first) => connect((Ipv6Addr::LOCALHOST, port).into()).await.map_err(|_| first),
        stream => stream,
    }
}
