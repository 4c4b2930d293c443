//! What the control plane speaks to a guest with.
//!
//! [`Guest`] is the address and the calls; `process.rs` and `files.rs` hold the calls of each kind,
//! `connection.rs` the connections. Nothing here knows what a sandbox is.

mod connection;
mod error;
mod files;
mod process;
mod unix;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use connection::Connection;
pub use connection::Tunnel;
pub use error::GuestError;
pub use process::ProcessStream;

/// A guest at a Unix socket. Clones are cheap and share what connection is idle.
#[derive(Debug, Clone)]
pub struct Guest {
    socket: Arc<PathBuf>,
    token: Option<Arc<str>>,
    user: Option<Arc<str>>,
    kept: Arc<std::sync::Mutex<Option<Connection>>>,
}

impl Guest {
    /// The guest that listens on a socket; nothing is opened yet. The path may be longer than a
    /// socket's address can hold (107 bytes).
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: Arc::new(socket.into()), token: None, user: None, kept: Arc::default() }
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

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Headers of every call.
    fn request(&self, method: &str, path: &str) -> hyper::http::request::Builder {
        let mut request =
            hyper::Request::builder().method(method).uri(path).header("host", "guest");
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
