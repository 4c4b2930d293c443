//! `atelier dns setup`: this machine's resolver asks our server for our names.

use std::net::SocketAddr;

use atelier_api::{ExitCode, Problem};
use clap::Args;

use super::target::{RootArgs, Source, as_root, word};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{confirm, note, print};
use crate::system::ResolverTarget;

/// Arguments of `atelier dns setup`.
#[derive(Debug, Args)]
#[command(after_help = "It says what it will change, and asks. Only the change itself needs root.")]
pub(crate) struct SetupArgs {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Say what would be changed, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The name server; by default where the control plane's own listens
    #[arg(long, value_name = "ADDRESS")]
    pub server: Option<SocketAddr>,
    /// What its names end with; by default what the settings say
    #[arg(long, value_name = "NAME", requires = "server")]
    pub suffix: Option<String>,
    /// The way into the resolver, instead of the one that fits
    #[arg(long, value_name = "NAME", value_parser = ["systemd-resolved", "network-manager", "resolv.conf", "macos"])]
    pub way: Option<String>,
    #[command(flatten)]
    pub root: RootArgs,
}

/// Sets it up.
pub(crate) fn run(args: &SetupArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let source = match args.server {
        Some(server) => given(args, context, server)?,
        None => Source::ask(context, true)?,
    };
    let Some(server) = source.server else { return Err(no_server(&source).into()) };
    let command = command(args, server, &source.suffix);
    let target =
        ResolverTarget { way: args.way.clone(), ..source.target(&args.root, as_root(&command)) };
    let resolver = context.hooks.resolver();
    let plan = resolver.plan(&target)?;
    print(&plan.text)?;
    if args.dry_run || plan.in_place {
        return Ok(0);
    }
    args.root.needs_root("this machine's resolver", &command)?;
    if !(args.yes || confirm("Change this?")?) {
        return Ok(0);
    }
    resolver.hook(&target)?;
    print("done; `atelier dns remove` takes it back\n")?;
    if source.report.is_some() && args.root.is_here() {
        tell(context, &source.suffix)?;
    }
    Ok(0)
}

/// The control plane learns at once what the hook wants of it, and says whether it works.
fn tell(context: &Context<'_>, suffix: &str) -> Result<(), Failure> {
    let found = Source::ask(context, false)?.report.is_some_and(|report| report.resolves);
    if !found {
        note(&format!("names below .{suffix} are not found yet; `atelier dns status` looks again"));
    }
    Ok(())
}

fn given(args: &SetupArgs, context: &Context<'_>, server: SocketAddr) -> Result<Source, Failure> {
    let suffix = match &args.suffix {
        Some(suffix) => suffix.clone(),
        None => Source::ask(context, false)?.suffix,
    };
    Ok(Source { server: Some(server), suffix, report: None })
}

fn command(args: &SetupArgs, server: SocketAddr, suffix: &str) -> String {
    let way = args.way.as_ref().map(|way| format!(" --way {way}")).unwrap_or_default();
    format!("dns setup --server {server} --suffix {}{way}", word(suffix))
}

fn no_server(source: &Source) -> Problem {
    let why = source.report.as_ref().and_then(|report| report.problem.clone());
    let why = why.unwrap_or_else(|| "it is off (dns.listen)".to_owned());
    let detail = format!("the name server does not run: {why}");
    Problem::new("dns.no_server", ExitCode::Configuration, detail)
        .hint("set another address, such as ATELIER_DNS=127.0.0.1:5354, and 'atelier stop' once")
}
