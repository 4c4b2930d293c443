//! What the control plane and the command line speak to a guest with.
//!
//! [`Guest`] is the address and the calls; `process.rs` and `files.rs` hold the calls of each kind,
//! `address.rs` and `connection.rs` the connections. Nothing here knows what a sandbox is.

mod address;
mod connection;
mod error;
mod files;
mod process;
mod stream;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub use address::{Address, RawStream};
use connection::Connection;
pub use connection::Tunnel;
pub use error::GuestError;
pub use files::FileStream;
pub use process::ProcessStream;
pub use watch::WatchStream;

/// A guest at an address, or behind somebody who passes its calls on. Clones are cheap and share
/// what connection is idle.
#[derive(Debug, Clone)]
pub struct Guest {
    address: Arc<Address>,
    prefix: Arc<str>,
    headers: Arc<[(String, String)]>,
    token: Option<Arc<str>>,
    user: Option<Arc<str>>,
    kept: Arc<std::sync::Mutex<Option<Connection>>>,
}

impl Guest {
    /// The guest that listens on a Unix socket; nothing is opened yet.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self::over(Address::Unix(socket.into()))
    }

    /// The guest at a port of a virtual machine's vsock, by way of its monitor's Unix socket.
    #[must_use]
    pub fn vsock(socket: impl Into<PathBuf>, port: u32) -> Self {
        Self::over(Address::Vsock { socket: socket.into(), port })
    }

    /// The guest at an address.
    #[must_use]
    pub fn over(address: Address) -> Self {
        Self {
            address: Arc::new(address),
            prefix: Arc::from(""),
            headers: Arc::from([]),
            token: None,
            user: None,
            kept: Arc::default(),
        }
    }

    /// The same guest, called below a path: somebody at the address passes calls on.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<Arc<str>>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The same guest, called with a header more: for whoever passes calls on.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let new = (name.into(), value.into());
        self.headers = self.headers.iter().cloned().chain([new]).collect();
        self
    }

    /// The same guest, called with an access token.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<Arc<str>>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The same guest, called as a user of the sandbox: a name, `UID` or `UID:GID`.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<Arc<str>>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// The same guest, sharing no connection with this one: a call that takes long holds up none
    /// of the other's.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self { kept: Arc::default(), ..self.clone() }
    }

    /// Where it listens, or whoever passes its calls on.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The Unix socket of its address; an empty path when there is none on the way.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.address.socket().unwrap_or(Path::new(""))
    }

    /// Headers of every call.
    fn request(&self, method: &str, path: &str) -> hyper::http::request::Builder {
        let target = format!("{}{path}", self.prefix);
        let mut request =
            hyper::Request::builder().method(method).uri(target).header("host", "guest");
        for (name, value) in &*self.headers {
            request = request.header(name, value);
        }
        if let Some(token) = &self.token {
            request = request.header("x-access-token", &**token);
        }
        if let Some(user) = &self.user {
            let encoded = STANDARD.encode(format!("{user}:"));
            request = request.header("authorization", format!("Basic {encoded}"));
        }
        request
    }
}
