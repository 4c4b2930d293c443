//! `atelier dns trust`: the home's own authority in this machine's store.

use std::path::PathBuf;

use clap::Args;

use super::target::{RootArgs, word};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{confirm, print};
use crate::system::TrustTarget;

/// Arguments of `atelier dns trust`.
#[derive(Debug, Args)]
#[command(after_help = "The authority vouches for names of services and for localhost, and its \
                        certificate says so. Its key stays in the home.")]
pub(crate) struct TrustArgs {
    /// Take it back
    #[arg(long)]
    pub remove: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Say what would be changed, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The authority's certificate; by default the home's
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    #[command(flatten)]
    pub root: RootArgs,
}

/// Does it.
pub(crate) fn run(args: &TrustArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let certificate = args.certificate.as_deref().map(|file| context.path(file)).transpose()?;
    let target = TrustTarget {
        root: args.root.root.clone(),
        home: context.home()?,
        certificate: certificate.map(|file| file.0),
        remove: args.remove,
    };
    let authorities = context.hooks.authorities();
    let plan = authorities.plan(&target)?;
    if plan.in_place {
        print(if args.remove { "it is not trusted\n" } else { "it is trusted already\n" })?;
        return Ok(0);
    }
    print(&plan.text)?;
    if args.dry_run {
        return Ok(0);
    }
    let remove = if args.remove { " --remove" } else { "" };
    let file = word(&plan.certificate.display().to_string());
    let command = format!("dns trust{remove} --certificate {file}");
    args.root.needs_root("whom this machine trusts", &command)?;
    let question = if args.remove { "No longer trust it?" } else { "Trust it?" };
    if !(args.yes || confirm(question)?) {
        return Ok(0);
    }
    authorities.change(&target)?;
    print(if args.remove { "it is no longer trusted\n" } else { "it is trusted\n" })?;
    Ok(0)
}
