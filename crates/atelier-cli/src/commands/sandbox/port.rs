//! `atelier sandbox port`: which ports are open inside, and where they are reached.

use atelier_api::{ExitCode, Problem};
use clap::Args;
use serde::Serialize;

use super::args::SandboxArg;
use super::exec::inside;
use super::show::show;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json, table};

/// Arguments of `atelier sandbox port`.
#[derive(Debug, Args)]
#[command(after_help = "A port that is not public wants the traffic token, which is in \
                        `atelier sandbox show --json`. `atelier sandbox forward` needs no token.")]
pub(crate) struct PortArgs {
    #[command(flatten)]
    pub sandbox: SandboxArg,
    /// Only print the URL of this port, whether something listens there or not
    #[arg(value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct Open {
    port: u16,
    address: Option<String>,
    url: Option<String>,
}

/// Lists them.
pub(crate) fn run(args: &PortArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let template = show(context, &args.sandbox)?.url;
    let url = |port: u16| template.as_ref().map(|url| url.replace("{port}", &port.to_string()));
    if let Some(port) = args.port {
        let found = Open { port, address: None, url: url(port) };
        return one(&found, args.json);
    }
    let plane = context.control_plane()?;
    let inside = inside(&plane, &args.sandbox, None);
    let mut found = context.wait(async { Ok(inside.guest().await?.listening().await?) })?;
    found.sort_by_key(|open| open.port);
    let found: Vec<_> = found
        .into_iter()
        .map(|open| Open { port: open.port, address: Some(open.address), url: url(open.port) })
        .collect();
    if args.json {
        print_json(&found)?;
        return Ok(0);
    }
    let none = || "-".to_owned();
    let rows = found.into_iter().map(|open| {
        let (address, url) = (open.address.unwrap_or_else(none), open.url.unwrap_or_else(none));
        [open.port.to_string(), address, url]
    });
    print(table(["PORT", "ADDRESS", "URL"], &rows.collect::<Vec<_>>()))?;
    Ok(0)
}

fn one(found: &Open, json: bool) -> Result<u8, Failure> {
    if json {
        print_json(found)?;
        return Ok(0);
    }
    let Some(url) = &found.url else {
        let detail = "the control plane serves no ports of sandboxes";
        return Err(Problem::new("ingress.absent", ExitCode::Configuration, detail)
            .hint("`atelier config` shows where they would be served")
            .hint(format!("`atelier sandbox forward SANDBOX {}` needs no such service", found.port))
            .into());
    };
    print(format!("{url}\n"))?;
    Ok(0)
}
