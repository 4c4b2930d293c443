//! `atelier tool help`: what a tool's authors say of it.

use atelier_api::{ExitCode, Problem};
use atelier_plugin::Slug;
use clap::Args;

use super::args::slug;
use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::print;

/// Arguments of `atelier tool help`.
#[derive(Debug, Args)]
pub(crate) struct HelpArgs {
    /// The tool
    #[arg(value_name = "NAME", value_parser = slug)]
    pub name: Slug,
}

/// The files that may say it, the first found is shown.
const FILES: [&str; 3] = ["README.md", "README", "SKILL.md"];

/// Shows it.
pub(crate) fn run(args: &HelpArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, false)?;
    desk.tools(std::slice::from_ref(&args.name))?;
    if let Some(text) = said(&desk, &args.name)? {
        return print(text).map(|()| 0);
    }
    let detail = format!("the authors of {} wrote no README.md", args.name);
    Err(Problem::new("tool.no_help", ExitCode::NotFound, detail)
        .hint(format!("what it is: atelier tool show {}", args.name))
        .into())
}

/// What an installed tool's authors say of it, if anything.
pub(crate) fn said(desk: &Desk, slug: &Slug) -> Result<Option<Vec<u8>>, Failure> {
    let folder = desk.home.plugin(slug);
    for file in FILES.map(|name| folder.join(name)) {
        match std::fs::read(&file) {
            Ok(text) => return Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::of_file("read", &file, &error)),
        }
    }
    Ok(None)
}
