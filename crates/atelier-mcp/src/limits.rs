//! How long a server may take and how much it may say.

use std::time::Duration;

/// Limits of a conversation. Each time is that of one step.
#[derive(Debug, Clone)]
pub struct Limits {
    /// To connect, and to agree on a protocol. Servers that a package runner fetches first need long.
    pub initialize: Duration,
    /// For each page of a list.
    pub list: Duration,
    /// For a call of a tool.
    pub call: Duration,
    /// For the end: of a session, and of a program between being asked to end and being made to.
    pub close: Duration,
    /// Bytes of one message.
    pub message: usize,
    /// Bytes of all that a program writes to standard output.
    pub output: usize,
    /// Lines on standard output that are no messages, which are passed over.
    pub noise: usize,
    /// Entries of one list.
    pub entries: usize,
    /// Pages of one list.
    pub pages: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            initialize: Duration::from_secs(60),
            list: Duration::from_secs(30),
            call: Duration::from_secs(300),
            close: Duration::from_secs(2),
            message: 16 << 20,
            output: 256 << 20,
            noise: 50,
            entries: 10_000,
            pages: 1_000,
        }
    }
}
