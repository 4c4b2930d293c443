//! `atelier mcp`: Atelier as an MCP server, on standard input and output or over HTTP.

mod calls;
mod consent;
mod inputs;
mod shelf;
mod table;

use std::net::SocketAddr;

use atelier_mcp::HttpOptions;
use clap::{Args, ValueEnum};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::note;

const EXAMPLES: &str = "\
Examples:
  claude mcp add atelier -- atelier mcp          an agent finds, adds and uses tools
  atelier mcp --http 127.0.0.1:4720              the same over streamable HTTP, at /mcp

What an agent may change is `tools.consent` in config.yaml: deny, ask (you, through the agent), verified or allow.";

/// Parts of Atelier that can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The tools: `atelier tool`
    Tools,
}

/// Arguments of `atelier mcp`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct McpArgs {
    /// Serve this part alone (repeatable)
    #[arg(long, value_name = "PART")]
    pub only: Vec<Part>,
    /// Serve over HTTP at this address instead of standard input and output; others than this
    /// machine's programs need ATELIER_TOKEN as their bearer token
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<SocketAddr>,
}

/// Serves until the client goes, or until Ctrl-C.
pub(crate) fn run(args: &McpArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let table = table::tools(context, args.only.is_empty())?;
    context.wait(async {
        let stop = async {
            let _ = tokio::signal::ctrl_c().await;
        };
        let Some(address) = args.http else {
            return Ok(atelier_mcp::serve_stdio(table, stop).await?);
        };
        let listener = tokio::net::TcpListener::bind(address).await.map_err(|error| {
            Failure::of_file("listened on", address.to_string().as_ref(), &error)
        })?;
        let token = std::env::var(atelier_config::env_vars::TOKEN).ok();
        note(&format!("serving http://{}/mcp", listener.local_addr()?));
        let options = HttpOptions { token, ..HttpOptions::default() };
        Ok(atelier_mcp::serve_http(table, listener, options, stop).await?)
    })?;
    // A thread may still wait for the client's next word.
    std::process::exit(0)
}
