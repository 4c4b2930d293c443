//! Where a control plane is, and a connection to it.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::ClientError;

/// The longest path that fits a socket address, with its final zero byte (unix(7): 108).
const MAX_SOCKET_PATH: usize = 107;

/// Where a control plane is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// TCP: `host:port`.
    Tcp(String),
}

/// What a connection can do.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Endpoint {
    /// From `unix:/path` or `http://host:port`.
    ///
    /// # Errors
    /// [`ClientError::Address`] for anything else.
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        let bad = |why| Err(ClientError::Address { given: text.to_owned(), why });
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path.starts_with('/') {
                true => Ok(Self::Unix(PathBuf::from(path))),
                false => bad("the socket's path must be absolute"),
            };
        }
        let Some(rest) = text.strip_prefix("http://") else {
            return bad(if text.starts_with("https://") {
                "https is not spoken; use a tunnel such as `ssh -L`"
            } else {
                "it begins with neither unix: nor http://"
            });
        };
        let authority = rest.trim_end_matches('/');
        match authority.rsplit_once(':') {
            Some((host, port))
                if !host.is_empty()
                    && !authority.contains(['/', '@', '?', '#'])
                    && port.parse::<u16>().is_ok() =>
            {
                Ok(Self::Tcp(authority.to_owned()))
            }
            _ => bad("it needs a host and a port"),
        }
    }

    /// What the `Host` header says.
    pub(crate) fn authority(&self) -> &str {
        match self {
            Self::Unix(_) => "localhost",
            Self::Tcp(authority) => authority,
        }
    }

    /// Connects.
    pub(crate) async fn connect(&self) -> Result<Box<dyn Stream>, ClientError> {
        let stream = match self {
            Self::Unix(path) => connect_unix(path).await.map(|s| Box::new(s) as Box<dyn Stream>),
            Self::Tcp(authority) => connect_tcp(authority).await.map(|s| Box::new(s) as _),
        };
        stream.map_err(|source| ClientError::Connect { endpoint: self.to_string(), source })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(authority) => write!(f, "http://{authority}"),
        }
    }
}

async fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    if path.as_os_str().len() <= MAX_SOCKET_PATH {
        return UnixStream::connect(path).await;
    }
    // A descriptor of the folder stands for its path, which makes any depth short enough.
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(CWD, folder, flags, Mode::empty())?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    UnixStream::connect(short).await
}

/// The process at the other end of a Unix socket. Whoever listens there later is another one.
#[derive(Debug, Default)]
pub(crate) struct Peer(Option<OwnedFd>);

impl Peer {
    /// The process that listens at an endpoint, where it can be known.
    pub(crate) async fn of(endpoint: &Endpoint) -> Self {
        let Endpoint::Unix(path) = endpoint else { return Self(None) };
        let credentials = connect_unix(path).await.and_then(|stream| stream.peer_cred());
        let pid = credentials.ok().and_then(|c| c.pid()).and_then(Pid::from_raw);
        Self(pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()))
    }

    /// Whether it has ended. A zombie has: its parent may be a command that takes its time.
    pub(crate) fn is_gone(&self) -> bool {
        let Some(process) = &self.0 else { return true };
        let mut fds = [PollFd::new(process, PollFlags::IN)];
        !matches!(poll(&mut fds, Some(&Timespec::default())), Ok(0))
    }
}

async fn connect_tcp(authority: &str) -> io::Result<TcpStream> {
    let numeric = authority.replace("localhost:", "127.0.0.1:").parse::<SocketAddr>();
    let addresses = match numeric {
        Ok(address) => vec![address],
        Err(_) => authority.to_socket_addrs()?.collect(),
    };
    let stream = TcpStream::connect(&addresses[..]).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let unix = Endpoint::parse("unix:/run/a.sock").unwrap();
        assert_eq!(unix, Endpoint::Unix("/run/a.sock".into()));
        assert_eq!(Endpoint::parse("unix:///run/a.sock").unwrap(), unix);
        let tcp = Endpoint::parse("http://127.0.0.1:4700/").unwrap();
        assert_eq!(tcp.to_string(), "http://127.0.0.1:4700");
        for bad in ["", "unix:a", "http://x", "https://x:1", "http://x:y", "http://a/b:1", "x:1"] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_socket_deep_in_the_tree_is_reached() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let link = dir.path().join("l");
        std::os::unix::fs::symlink(&deep, &link).unwrap();
        let _listener = tokio::net::UnixListener::bind(link.join("s")).unwrap();
        Endpoint::Unix(deep.join("s")).connect().await.unwrap();
        assert!(Endpoint::Unix(deep.join("t")).connect().await.err().unwrap().is_absent());
    }
}
