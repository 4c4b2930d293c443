//! `atelier tool import-atk`: a home of ATK is read into this one.

use std::path::PathBuf;

use atelier_toolrun::secrets;
use atelier_tools::verbs::{self, ImportOptions, Kept};
use clap::Args;

use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json};

/// Arguments of `atelier tool import-atk`.
#[derive(Debug, Args)]
pub(crate) struct ImportAtkArgs {
    /// Its folder; none: $ATK_HOME or ~/.atk
    pub path: Option<PathBuf>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Reads it; ATK's home stays as it is.
pub(crate) fn run(args: &ImportAtkArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, args.yes, args.json)?;
    let changing = desk.context();
    let user = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let given = || std::env::var_os("ATK_HOME").filter(|text| !text.is_empty()).map(PathBuf::from);
    let from = args.path.clone().or_else(given).unwrap_or_else(|| user.join(".atk"));
    let around = |name: &str| std::env::var(name).ok();
    let keep: verbs::Keep<'_> = &|slug, plugin, file| {
        let recipients = verbs::recipients(&desk.home)?;
        let done = secrets::import_env(&desk.home, slug, plugin, file, &recipients, around)?;
        let names = done.plain.into_iter().chain(done.secret).collect();
        Ok(Kept { names, refused: done.refused, files: done.files })
    };
    let done = verbs::import_atk(&desk.home, &ImportOptions { from, user, keep }, &changing.get())?;
    let failed = done.tools.iter().find_map(|tool| tool.failed.as_ref());
    let code = failed.map_or(0, |problem| problem.exit);
    if args.json {
        print_json(&done)?;
        return Ok(code);
    }
    for tool in &done.tools {
        match &tool.failed {
            Some(problem) => drop(Failure::from(problem.clone()).report(false)),
            None => print(format!("imported {} ({})\n", tool.slug, tool.source))?,
        }
        tool.notes.iter().for_each(|text| note(text));
    }
    for wire in &done.wiring {
        let tool = wire.tool.as_deref().unwrap_or("something");
        note(&format!("ATK has {tool} in {}: {}", wire.agent, wire.file));
    }
    Ok(code)
}
