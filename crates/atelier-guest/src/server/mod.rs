//! What answers inside the sandbox: one thread, one runtime, no locks.
//!
//! This file knows how the server starts and stops; `router.rs` what it answers to.

mod auth;
mod file_body;
mod files;
mod filesystem;
mod gate;
mod host;
mod layer;
mod listener;
mod options;
mod paths;
mod process;
mod reply;
mod router;
mod rpc;
mod state;
mod trust;
mod tunnel;
mod users;
mod vsock;
mod watched;

use std::io;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

pub use listener::Listener;
pub use options::ServeOptions;
use state::Server;

/// Threads for walks of big folders; everything else happens on the one thread.
const BLOCKING_THREADS: usize = 4;

/// Serves until SIGTERM, then ends every process and returns.
///
/// As PID 1 it also reaps every orphan of the sandbox.
///
/// # Errors
/// When the runtime cannot be made or the listener fails for good.
pub fn serve(listener: UnixListener, options: ServeOptions) -> io::Result<()> {
    serve_on(Listener::Unix(listener), options)
}

/// [`serve`] on any kind of listener.
///
/// # Errors
/// As [`serve`].
pub fn serve_on(listener: Listener, options: ServeOptions) -> io::Result<()> {
    save_memory();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(Duration::from_secs(1))
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, run(listener, options))
}

async fn run(listener: Listener, options: ServeOptions) -> io::Result<()> {
    let server = Server::new(options);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let reaper =
        tokio::task::spawn_local(process::reap(Rc::clone(&server), signal(SignalKind::child())?));
    let parking = tokio::task::spawn_local(gate::follow_signals(&server)?);
    let accepting = listener.accept_each(Rc::clone(&server), |connection| {
        let server = Rc::clone(&server);
        tokio::task::spawn_local(async move {
            server.gate.through(router::serve_connection(Rc::clone(&server), connection)).await;
        });
    })?;
    let ended = tokio::select! {
        failed = accepting => failed,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    server.processes.end_all(server.options.stop_grace).await;
    reaper.abort();
    parking.abort();
    ended
}

/// One heap instead of one for each thread, and big blocks go back to the system when freed.
fn save_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes two numbers and is called before any other thread exists.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 64 << 10);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 64 << 10);
    }
}
