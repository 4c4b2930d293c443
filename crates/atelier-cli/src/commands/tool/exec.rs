//! `atelier tool exec`: the MCP server of a tool, with its settings and secrets. Agents are given this
//! command, so that no file of theirs holds a secret.

use std::ffi::OsString;

use atelier_mcp::{BridgeOptions, Target};
use atelier_plugin::{Slug, Transport};
use atelier_toolrun::lifecycle::{self, Remote, Server};
use clap::Args;

use super::args::slug;
use super::become_it::become_it;
use super::desk::Desk;
use super::sandboxed::sandboxed;
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `atelier tool exec`.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// The tool
    #[arg(value_name = "NAME", value_parser = slug)]
    pub name: Slug,
    /// Further arguments of the server
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<OsString>,
}

/// Becomes the server, or its bridge.
pub(crate) fn run(args: &ExecArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, false)?;
    desk.tools(std::slice::from_ref(&args.name))?;
    match desk.with_manner(|manner| lifecycle::server(&desk.home, &args.name, manner))? {
        Server::Program(mut exec) => {
            exec.arguments.extend(args.args.iter().cloned());
            match exec.sandbox.take() {
                Some(sandbox) => Err(become_it(&sandboxed(&desk, &args.name, *exec, &sandbox)?)),
                None => Err(become_it(&exec)),
            }
        }
        Server::Remote(remote) => {
            context.wait(async {
                Ok(atelier_mcp::bridge_stdio(&target(&remote), &BridgeOptions::default()).await?)
            })?;
            // A thread may still wait for the agent's next word.
            std::process::exit(0)
        }
    }
}

/// The server behind a URL, as MCP clients are told of it.
pub(super) fn target(remote: &Remote) -> Target {
    let url = remote.url.expose().to_owned();
    let headers = remote.headers.iter();
    let headers = headers.map(|(name, text)| (name.clone(), text.expose().to_owned())).collect();
    match remote.transport {
        Transport::Sse => Target::Sse { url, headers },
        _ => Target::Http { url, headers },
    }
}
