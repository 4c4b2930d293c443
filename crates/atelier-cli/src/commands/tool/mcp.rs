//! `atelier tool mcp`: a tool's MCP server, and whether it answers.

use atelier_mcp::{ClientOptions, Inspection};
use atelier_plugin::Slug;
use clap::Args;
use serde::Serialize;

use super::args::slug;
use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json, table};

/// Arguments of `atelier tool mcp`.
#[derive(Debug, Args)]
pub(crate) struct McpArgs {
    /// The tool
    #[arg(value_name = "NAME", value_parser = slug)]
    pub name: Slug,
    /// Start it and ask for its tools
    #[arg(long)]
    pub check: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// What an agent is to be told by hand, and what the server said.
#[derive(Debug, Serialize)]
struct Shown {
    name: Slug,
    command: &'static str,
    args: [String; 3],
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Inspection>,
}

/// Shows it.
pub(crate) fn run(args: &McpArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, args.json)?;
    desk.tools(std::slice::from_ref(&args.name))?;
    let server = match args.check {
        true => Some(look(&desk, &args.name, context)?),
        false => None,
    };
    let exec = ["tool".to_owned(), "exec".to_owned(), args.name.to_string()];
    let shown = Shown { name: args.name.clone(), command: "atelier", args: exec, server };
    if args.json {
        print_json(&shown)?;
        return Ok(0);
    }
    print(format!("{}: {} {}\n", shown.name, shown.command, shown.args.join(" ")))?;
    shown.server.iter().try_for_each(list)?;
    Ok(0)
}

/// Starts the server as an agent does, and asks it.
fn look(desk: &Desk, slug: &Slug, context: &Context<'_>) -> Result<Inspection, Failure> {
    let options = ClientOptions::default();
    context.wait(async { Ok(atelier_mcp::inspect(&desk.server(slug), &options).await?) })
}

fn list(server: &Inspection) -> Result<(), Failure> {
    let name = server.server.as_deref().unwrap_or("a server without a name");
    let version = server.version.as_deref().unwrap_or_default();
    print(format!("{name} {version} speaks MCP {}\n", server.protocol))?;
    let first = |text: &Option<String>| {
        text.as_deref().unwrap_or_default().lines().next().unwrap_or_default().to_owned()
    };
    let rows: Vec<_> =
        server.tools.iter().map(|tool| [tool.name.clone(), first(&tool.description)]).collect();
    print(table(["TOOL", "WHAT"], &rows))
}
