//! `atelier env url`: where a service is reached from this machine, by what works now.

use atelier_api::service::{EnvUrl, EnvUrlInput, ServiceUrl};
use clap::Args;

use crate::args::EnvArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json};

/// Arguments of `atelier env url` and `atelier env open`.
#[derive(Debug, Args)]
pub(crate) struct UrlArgs {
    #[command(flatten)]
    pub env: EnvArg,
    /// The service; by default the one that the project's own name leads to
    #[arg(value_name = "SERVICE")]
    pub service: Option<String>,
    /// A port of it; by default the one that speaks HTTP
    #[arg(value_name = "PORT")]
    pub port: Option<u16>,
    /// Every way that works, not only the first
    #[arg(short, long)]
    pub all: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

impl UrlArgs {
    /// Asks for it.
    pub(super) fn find(&self, context: &Context<'_>) -> Result<ServiceUrl, Failure> {
        let reference = self.env.reference(context)?;
        let input = EnvUrlInput {
            env: reference.env,
            project: reference.project,
            service: self.service.clone(),
            port: self.port,
        };
        let plane = context.control_plane()?;
        context.wait(async { Ok(plane.call::<EnvUrl>(&input).await?) })
    }
}

/// Writes it.
pub(crate) fn run(args: &UrlArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let found = args.find(context)?;
    if args.json {
        print_json(&found)?;
        return Ok(0);
    }
    print(format!("{}\n", found.url))?;
    if args.all {
        print(found.others.iter().map(|url| format!("{url}\n")).collect::<String>())?;
    }
    Ok(0)
}
