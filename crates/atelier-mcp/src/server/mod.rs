//! A server over a table of tools that the caller supplies.
//!
//! What must not be here: what any tool does.

mod confirm;
mod handler;
mod http;
mod shelf;
mod tool;

use std::io;

use rmcp::RoleServer;
use rmcp::service::{QuitReason, RunningService, ServiceExt};
use rmcp::transport::async_rw::AsyncRwTransport;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinError;

use crate::error::{McpError, Result};
use handler::Handler;

pub use confirm::Confirmed;
pub use http::{HttpBody, HttpOptions, HttpService, serve_http};
pub use shelf::{Prompt, Resource, Shelf};
pub use tool::{Context, Manner, Table, Tool};

/// Serves a table on standard input and output, until the client closes its side or `stop` is ready. A
/// thread may still wait for standard input afterwards: end the process.
///
/// # Errors
/// [`McpError::Serve`]: the client speaks no MCP.
pub async fn serve_stdio(table: Table, stop: impl Future<Output = ()>) -> Result<()> {
    serve(table, tokio::io::stdin(), tokio::io::stdout(), stop).await
}

/// Serves a table on a pair of streams, until the client closes its side or `stop` is ready.
///
/// # Errors
/// [`McpError::Serve`]: the client speaks no MCP.
pub async fn serve<R, W>(
    table: Table,
    input: R,
    output: W,
    stop: impl Future<Output = ()>,
) -> Result<()>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let failed = |why: String| McpError::Serve {
        doing: "talk with its client",
        source: io::Error::other(why),
    };
    let transport = AsyncRwTransport::new_server(input, output);
    let handler = Handler::new(table);
    tokio::pin!(stop);
    let started = tokio::select! {
        started = handler.serve(transport) => started,
        () = &mut stop => return Ok(()),
    };
    let running = match started {
        Ok(running) => running,
        // It went away before it said anything.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(failed(crate::http::words(&error))),
    };
    let ended = until(running, stop).await;
    match ended {
        Ok(QuitReason::JoinError(error)) | Err(error) => Err(failed(error.to_string())),
        Ok(_) => Ok(()),
    }
}

/// Waits for the end of a conversation, or ends it when it is time.
async fn until(
    running: RunningService<RoleServer, Handler>,
    stop: impl Future<Output = ()>,
) -> std::result::Result<QuitReason, JoinError> {
    tokio::pin!(stop);
    let cancel = running.cancellation_token();
    let waiting = running.waiting();
    tokio::pin!(waiting);
    tokio::select! {
        ended = &mut waiting => ended,
        () = &mut stop => {
            cancel.cancel();
            waiting.await
        }
    }
}
