//! A connection of a sandbox, as it was handed over.

use std::pin::Pin;
use std::sync::Arc;

use tokio::net::{TcpStream, UnixStream};

use crate::Rules;

/// The rules as they are now, or why they can't be told. Asked for each request.
pub type RulesNow = Arc<dyn Fn() -> RulesSoon + Send + Sync>;
/// What is waited for then.
pub type RulesSoon = Pin<Box<dyn Future<Output = Result<Rules, String>> + Send>>;

/// What is known of a connection, and both its ends.
pub struct Connection {
    /// The host that the first words name: in lower case, without port and final dot.
    pub host: String,
    /// The port that it goes to.
    pub port: u16,
    /// Whether it begins with TLS.
    pub secure: bool,
    /// Whether the server's address is the host's, as far as names tell. TLS proves it by itself.
    pub named: bool,
    /// The sandbox's side.
    pub sandbox: UnixStream,
    /// The server's side.
    pub server: TcpStream,
    /// What requests get.
    pub rules: RulesNow,
}

/// What each request is judged by.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
    pub(crate) rules: RulesNow,
}
