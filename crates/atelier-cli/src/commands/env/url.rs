//! `atelier env url`: where a service is reached from this machine, by what works now.

use atelier_api::far::FarService;
use atelier_api::service::{EnvUrl, EnvUrlInput, ServiceUrl};
use atelier_api::{ExitCode, Problem};
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
        let found = context.call::<EnvUrl>(&input)?;
        match context.link()? {
            Some(linked) => near(found, &input, &linked),
            None => Ok(found),
        }
    }
}

/// Where a service on a far host is reached from here.
fn near(
    found: ServiceUrl,
    input: &EnvUrlInput,
    linked: &[FarService],
) -> Result<ServiceUrl, Failure> {
    let ServiceUrl { service, .. } = found;
    let mine = |far: &&FarService| {
        far.service == service
            && far.env == input.env
            && input.project.as_path().starts_with(far.root.as_path())
    };
    let absent = || {
        let detail = format!("{service} of {} is not up there, or has no address", input.env);
        Problem::new("env.no_service", ExitCode::NotFound, detail)
            .hint(format!("atelier env up {}", input.env))
    };
    let far = linked.iter().find(mine).ok_or_else(absent)?;
    let mut urls = match input.port {
        None => far.urls.clone(),
        Some(port) if far.ports.contains(&port) => {
            let name = far.names.first().filter(|_| far.resolves);
            let name = name.map(|name| format!("{name}:{port}"));
            name.into_iter().chain([format!("{}:{port}", far.address)]).collect()
        }
        Some(_) => Vec::new(),
    };
    if urls.is_empty() {
        let detail = format!("{service} has no such port that could be brought here");
        let ports: Vec<_> = far.ports.iter().map(ToString::to_string).collect();
        return Err(Problem::new("env.no_port", ExitCode::NotFound, detail)
            .hint(format!("it has {}", ports.join(", ")))
            .into());
    }
    let url = urls.remove(0);
    Ok(ServiceUrl { service, url, others: urls })
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
