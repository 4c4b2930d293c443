//! Where a guest is, and how a connection to it is opened.

use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// `sun_path` holds 108 bytes, the last of which is zero.
const LONGEST: usize = 107;
/// The longest answer to `CONNECT` that is no nonsense: `OK`, a port, the line's end.
const LONGEST_ANSWER: usize = 32;

/// Where a guest listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// At a Unix socket. Its path may be longer than a socket's address can hold (107 bytes).
    Unix(PathBuf),
    /// At `host:port`.
    Tcp(String),
    /// At a port of a virtual machine's vsock, by way of the Unix socket that its monitor offers:
    /// `CONNECT port` is answered by `OK` and a port, as Firecracker and Cloud Hypervisor do it.
    Vsock {
        /// The monitor's socket.
        socket: PathBuf,
        /// The port inside.
        port: u32,
    },
}

impl Address {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens, or the monitor refuses.
    pub async fn dial(&self) -> io::Result<RawStream> {
        match self {
            Self::Unix(path) => connect(path).await.map(RawStream::Unix),
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(RawStream::Tcp(stream))
            }
            Self::Vsock { socket, port } => {
                let mut stream = connect_there(socket).await?;
                stream.write_all(format!("CONNECT {port}\n").as_bytes()).await?;
                answer(&mut stream, *port).await?;
                Ok(RawStream::Unix(stream))
            }
        }
    }

    /// The Unix socket on the way, if there is one.
    pub(super) fn socket(&self) -> Option<&Path> {
        match self {
            Self::Unix(socket) | Self::Vsock { socket, .. } => Some(socket),
            Self::Tcp(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => f.write_str(address),
            Self::Vsock { socket, port } => write!(f, "{} port {port}", socket.display()),
        }
    }
}

/// Connects; a long path goes by way of its folder's descriptor.
async fn connect(path: &Path) -> io::Result<UnixStream> {
    if path.as_os_str().as_bytes().len() <= LONGEST {
        return UnixStream::connect(path).await;
    }
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "a socket's path needs a name");
    let (folder, name) =
        (path.parent().ok_or_else(invalid)?, path.file_name().ok_or_else(invalid)?);
    // Reading a folder is more than is needed, and O_PATH has no safe name in std: whoever may
    // connect to a socket of ours may read its folder.
    let folder = std::fs::File::open(folder)?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    UnixStream::connect(short).await
}

/// Connects to the socket itself: a monitor in a jail decides what lies at its path, and a link there
/// must lead to no other socket of this machine.
async fn connect_there(path: &Path) -> io::Result<UnixStream> {
    let mut options = std::fs::OpenOptions::new();
    let socket = options.read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW).open(path)?;
    UnixStream::connect(format!("/proc/self/fd/{}", socket.as_raw_fd())).await
}

/// Reads the monitor's answer, and nothing behind it: that is the guest's already.
async fn answer(stream: &mut UnixStream, port: u32) -> io::Result<()> {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        if line.len() > LONGEST_ANSWER {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it speaks no vsock"));
        }
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            let why = format!("nothing listens at port {port} of the vsock");
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, why));
        }
        line.push(byte[0]);
    }
    if line.starts_with(b"OK ") {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&line).trim_end().to_owned();
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("the vsock answered {said:?}")))
}

/// A connection to a guest's own HTTP port, with nothing said yet.
#[derive(Debug)]
#[non_exhaustive]
pub enum RawStream {
    /// Over a Unix socket.
    Unix(UnixStream),
    /// Over TCP.
    Tcp(TcpStream),
}

/// Calls the same for each kind of connection.
macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Unix(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Self::Tcp(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
        }
    };
}

impl AsyncRead for RawStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_read(context, into))
    }
}

impl AsyncWrite for RawStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => stream.poll_write_vectored(context, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    /// A monitor that answers one `CONNECT`, and then speaks for the guest.
    async fn dial_monitor(answer: &'static str) -> (io::Result<RawStream>, String) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("v.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let monitor = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; "CONNECT 49983\n".len()];
            stream.read_exact(&mut asked).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(asked).unwrap()
        };
        let address = Address::Vsock { socket: socket.clone(), port: 49983 };
        tokio::join!(address.dial(), monitor)
    }

    #[tokio::test]
    async fn a_vsock_is_asked_for_its_port_and_nothing_of_the_guest_is_lost() {
        let (stream, asked) = dial_monitor("OK 1073741824\nfirst bytes").await;
        assert_eq!(asked, "CONNECT 49983\n");
        let mut bytes = Vec::new();
        stream.unwrap().read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"first bytes");
    }

    #[tokio::test]
    async fn a_monitors_socket_leads_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let _other = UnixListener::bind(dir.path().join("other.sock")).unwrap();
        let socket = dir.path().join("v.sock");
        std::os::unix::fs::symlink("other.sock", &socket).unwrap();
        let error = Address::Vsock { socket, port: 49983 }.dial().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn a_port_that_nothing_listens_at_is_a_refused_connection() {
        let refused = dial_monitor("").await.0.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        for nonsense in ["HTTP/1.1 400 Bad Request\r\n\r\n", "OKAY\n", &"x".repeat(99)] {
            let nonsense: &'static str = String::leak(nonsense.to_owned());
            let error = dial_monitor(nonsense).await.0.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{nonsense}");
        }
    }
}
