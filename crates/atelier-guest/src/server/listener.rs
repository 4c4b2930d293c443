//! Where connections come from.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::state::Server;

/// A listening socket.
#[derive(Debug)]
pub enum Listener {
    /// Of this machine only.
    Unix(UnixListener),
    /// Of a network.
    Tcp(TcpListener),
    /// Of a virtual machine's vsock.
    Vsock(OwnedFd),
}

impl Listener {
    /// Opens what `unix:PATH`, `tcp:ADDRESS:PORT` or `fd:NUMBER` says.
    ///
    /// # Errors
    /// When the text is none of these, or the socket cannot be opened.
    pub fn open(text: &str) -> io::Result<Self> {
        let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        match text.split_once(':') {
            Some(("unix", path)) => bind_unix(Path::new(path)).map(Self::Unix),
            Some(("tcp", address)) => TcpListener::bind(address).map(Self::Tcp),
            Some(("fd", number)) => {
                let fd = number.parse().map_err(|_| invalid(format!("{text}: not a number")))?;
                Self::inherited(fd)
            }
            _ => Err(invalid(format!("{text}: not unix:PATH, tcp:ADDRESS:PORT or fd:NUMBER"))),
        }
    }

    /// Listens at a port of a virtual machine's vsock.
    ///
    /// # Errors
    /// When the kernel has none, or the port is taken.
    pub fn vsock(port: u32) -> io::Result<Self> {
        super::vsock::listen(port).map(Self::Vsock)
    }

    fn inherited(fd: RawFd) -> io::Result<Self> {
        // SAFETY: F_SETFD takes a number, and fails when the descriptor is not open.
        if fd < 3 || unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("fd:{fd} is not open"),
            ));
        }
        // SAFETY: it is open, and whoever started this process left it to us.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let (mut domain, mut length) = (0 as libc::c_int, size_of::<libc::c_int>() as u32);
        // SAFETY: SO_DOMAIN writes one int; the length says so.
        let asked = unsafe {
            let (domain, length) = ((&raw mut domain).cast(), &raw mut length);
            libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_DOMAIN, domain, length)
        };
        if asked < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(if domain == libc::AF_UNIX { Self::Unix(fd.into()) } else { Self::Tcp(fd.into()) })
    }

    /// Hands each connection over; ends only when accepting fails for good.
    pub(super) fn accept_each(
        self,
        server: Rc<Server>,
        mut each: impl FnMut(Connection),
    ) -> io::Result<impl Future<Output = io::Result<()>>> {
        let accept = match self {
            Self::Unix(listener) => {
                listener.set_nonblocking(true)?;
                Accept::Unix(tokio::net::UnixListener::from_std(listener)?)
            }
            Self::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                Accept::Tcp(tokio::net::TcpListener::from_std(listener)?)
            }
            Self::Vsock(listener) => {
                // SAFETY: the descriptor is ours alone, and stays open as long as the value.
                Accept::Vsock(unsafe { AsyncFd::register(listener) }?)
            }
        };
        Ok(async move {
            loop {
                server.gate.opened().await;
                let next = tokio::select! {
                    biased;
                    () = server.gate.parked() => continue,
                    next = accept.next() => next,
                };
                match next {
                    Ok(connection) => each(connection),
                    // Out of descriptors or memory, or the peer is gone again: the next may do.
                    Err(error) if error.raw_os_error() != Some(libc::EINVAL) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    Err(error) => return Err(error),
                }
            }
        })
    }
}

/// A socket file that an earlier guest left behind is replaced.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        other => other,
    }
}

enum Accept {
    Unix(tokio::net::UnixListener),
    Tcp(tokio::net::TcpListener),
    Vsock(AsyncFd<OwnedFd>),
}

impl Accept {
    async fn next(&self) -> io::Result<Connection> {
        match self {
            Self::Unix(listener) => listener.accept().await.map(|(it, _)| Connection::Unix(it)),
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Connection::Tcp(stream))
            }
            Self::Vsock(listener) => super::vsock::accept(listener).await.map(Connection::Unix),
        }
    }
}

/// An accepted connection.
#[derive(Debug)]
pub(super) enum Connection {
    Unix(tokio::net::UnixStream),
    Tcp(tokio::net::TcpStream),
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(context, into),
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
