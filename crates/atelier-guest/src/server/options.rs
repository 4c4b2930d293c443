//! How a guest is set up when it starts. What `POST /init` may change later is in `state.rs`.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How a guest is set up.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// A folder for output that outgrows memory; without one, 1 MiB of each process is kept.
    pub spool: Option<PathBuf>,
    /// The folder that holds what this sandbox changed over its image, where an overlay of ours has one:
    /// what `GET /layer` answers with.
    pub layer: Option<Arc<File>>,
    /// The user of callers that name none; absent means the guest's own.
    pub default_user: Option<String>,
    /// The folder that relative paths start at; absent means the user's home.
    pub default_workdir: Option<PathBuf>,
    /// Variables of every process, below those of its own request.
    pub env: Vec<(String, String)>,
    /// A token that callers must show as `X-Access-Token`; absent means that whoever can connect
    /// may call.
    pub token: Option<String>,
    /// How long processes may take to end after SIGTERM.
    pub stop_grace: Duration,
    /// Whether `POST /init` may set the clock. Right in a virtual machine only: the clock of
    /// everything else is the host's.
    pub set_clock: bool,
    /// Whether every child that ends is reaped, tracked or not. Right for PID 1 only.
    pub reap_all: bool,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            spool: None,
            layer: None,
            default_user: None,
            default_workdir: None,
            env: Vec::new(),
            token: None,
            stop_grace: Duration::from_secs(2),
            set_clock: false,
            reap_all: std::process::id() == 1,
        }
    }
}
