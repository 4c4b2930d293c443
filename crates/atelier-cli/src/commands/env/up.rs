//! `atelier env up`: the project's services, running and healthy.

use atelier_api::service::{EnvUp, EnvUpInput, Services, UpOptions};
use clap::Args;

use super::status::text;
use crate::args::EnvArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Paint, print, print_json};

/// Arguments of `atelier env up`.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub env: EnvArg,
    /// Only these services, and those that they depend on
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    #[command(flatten)]
    pub options: UpArg,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// How services are started.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Services")]
pub(crate) struct UpArg {
    /// Build images anew
    #[arg(long)]
    pub build: bool,
    /// Make containers anew although nothing changed
    #[arg(long)]
    pub recreate: bool,
    /// A Compose profile (repeatable)
    #[arg(long, value_name = "PROFILE")]
    pub profile: Vec<String>,
    /// Share a service with the project's other environments (repeatable)
    #[arg(long, value_name = "SERVICE")]
    pub share: Vec<String>,
    /// Have a service of one's own although it is labelled as shared (repeatable)
    #[arg(long, value_name = "SERVICE")]
    pub isolate: Vec<String>,
    /// Publish ports as the files do, each at a free port of 127.0.0.1
    #[arg(long)]
    pub publish: bool,
    /// Start services although the environment's Compose files ask more of this machine than the project's own
    #[arg(long)]
    pub trust: bool,
    /// Start volumes that are new as a copy of those of another environment, or of a seed
    #[arg(long, value_name = "ENV|SEED")]
    pub data_from: Option<String>,
    /// Give services so many seconds to run and be healthy
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
}

impl UpArg {
    /// As the API takes them.
    pub(crate) fn options(&self) -> UpOptions {
        UpOptions {
            profiles: self.profile.clone(),
            build: self.build,
            recreate: self.recreate,
            share: self.share.clone(),
            isolate: self.isolate.clone(),
            publish: self.publish,
            trust: self.trust,
            data_from: self.data_from.clone(),
            timeout: self.timeout,
        }
    }
}

/// Starts them.
pub(crate) fn run(args: &UpArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let reference = args.env.reference(context)?;
    let input = EnvUpInput {
        env: reference.env,
        project: reference.project,
        services: args.services.clone(),
        options: args.options.options(),
    };
    let up = context.call::<EnvUp>(&input)?;
    // From now on its names lead there from here too.
    context.try_link();
    show(&up, args.json)
}

/// Shows services after a change.
pub(super) fn show(services: &Services, json: bool) -> Result<u8, Failure> {
    if json {
        print_json(services)?;
    } else {
        print(text(services, Paint::stdout()))?;
    }
    Ok(0)
}
