//! Where the control plane listens: its Unix socket, and TCP when asked.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use atelier_api::{ExitCode, Problem};
use tokio::net::{TcpListener, UnixListener};

/// Binds the socket in the home. Whoever holds the home's lock may replace what lies there.
///
/// # Errors
/// When the folder can't be written.
pub(crate) fn unix(path: &Path) -> Result<UnixListener, Problem> {
    let fail = |e: std::io::Error| {
        Problem::new(
            "serve.socket",
            ExitCode::Configuration,
            format!("the socket {} can't be made: {e}", path.display()),
        )
        .hint("check that ATELIER_HOME is writable")
    };
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(fail(std::io::ErrorKind::InvalidInput.into()));
    };
    let _ = fs::remove_file(path);
    // A socket's address holds 107 bytes; through a descriptor of its folder any path fits.
    let folder = fs::File::open(folder).map_err(fail)?;
    let short = Path::new("/proc/self/fd")
        .join(std::os::fd::AsRawFd::as_raw_fd(&folder).to_string())
        .join(name);
    let listener = UnixListener::bind(short).map_err(fail)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(fail)?;
    Ok(listener)
}

/// Binds a TCP address of this machine. Any other is refused: what travels there is not encrypted.
///
/// # Errors
/// Exit code 2 for an address that can't be read, 10 for one that is not loopback, 9 for a port in
/// use.
pub(crate) async fn tcp(address: &str) -> Result<TcpListener, Problem> {
    let parsed = parse(address)?;
    if !parsed.ip().is_loopback() {
        return Err(Problem::new(
            "serve.not_loopback",
            ExitCode::NotPermitted,
            format!("{address} can be reached from other machines, and the API is not encrypted"),
        )
        .hint("listen on 127.0.0.1 and reach it through 'ssh -L'")
        .hint("or set tls.listen and a domain: https://api.DOMAIN answers from anywhere"));
    }
    bind(parsed).await
}

/// Binds a TCP address, whoever can reach it: what is served there is encrypted.
///
/// # Errors
/// As [`tcp`].
pub(crate) async fn any(address: &str) -> Result<TcpListener, Problem> {
    bind(parse(address)?).await
}

/// Binds an address that nobody asked for by hand. A port that another home's control plane has, or
/// anybody else, costs the port's number and nothing more: any other serves as well.
pub(crate) async fn default(address: Option<&str>, what: &str) -> Option<TcpListener> {
    let address = address?;
    let error = match TcpListener::bind(address).await {
        Ok(listener) => return Some(listener),
        Err(error) => error,
    };
    tracing::warn!(%error, address, "{what} takes another port");
    let (host, _) = address.rsplit_once(':')?;
    match TcpListener::bind(format!("{host}:0")).await {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::warn!(%error, address, "{what} is not served");
            None
        }
    }
}

fn parse(address: &str) -> Result<SocketAddr, Problem> {
    address.parse().map_err(|_| {
        Problem::new("serve.address", ExitCode::Usage, format!("{address:?} is no address"))
            .hint("write it as 127.0.0.1:7070")
    })
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Problem> {
    TcpListener::bind(address).await.map_err(|e| {
        let exit = match e.kind() {
            std::io::ErrorKind::AddrInUse => ExitCode::PortInUse,
            std::io::ErrorKind::PermissionDenied => ExitCode::NotPermitted,
            _ => ExitCode::Failed,
        };
        Problem::new("serve.bind", exit, format!("{address} can't be listened on: {e}"))
            .hint("choose another port, or end what uses this one")
    })
}
