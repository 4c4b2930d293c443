//! `atelier tool backup`: a tool's data, saved; and what was saved before.

use atelier_plugin::Slug;
use atelier_toolrun::data::{self, Backup, Saved};
use atelier_tools::verbs;
use clap::Args;
use jiff::Timestamp;

use super::args::SomeOrAll;
use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json, size, table};

const EXAMPLES: &str = "\
Examples:
  atelier tool backup openmemory                     saves its data now
  atelier tool backup --all --keep 7                 and keeps the last seven of each tool
  atelier tool backup openmemory --list
  atelier tool backup openmemory --verify            reads the last one to its end

Backups are encrypted to the keys of this home, in ~/.atelier/backups/tools. For one each night, put the
second line into your crontab or a timer of systemd.";

/// Arguments of `atelier tool backup`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    pub tools: SomeOrAll,
    /// Afterwards, keep so many of each tool's backups
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
    /// Afterwards, keep those that are at most so old; the last one always stays
    #[arg(long, value_name = "DAYS")]
    pub days: Option<u32>,
    /// List the backups instead of making one
    #[arg(short, long, conflicts_with_all = ["keep", "days", "verify"])]
    pub list: bool,
    /// Read a backup (the last one) to its end and compare every file, instead of making one
    #[arg(long, value_name = "BACKUP", num_args = 0..=1, conflicts_with_all = ["keep", "days"])]
    pub verify: Option<Option<String>>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Saves, lists or verifies.
pub(crate) fn run(args: &BackupArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, args.json)?;
    let tools = match args.tools.all {
        true => with_data(&desk)?,
        false => desk.tools(&args.tools.names)?,
    };
    if args.list {
        return list(&desk, &tools, args.json);
    }
    if let Some(which) = &args.verify {
        return verify(&desk, &tools, which.as_deref(), args.json);
    }
    let recipients = verbs::recipients(&desk.home)?;
    let mut all = Vec::new();
    for tool in &tools {
        let saved = desk.with_manner(|m| data::backup(&desk.home, tool, &recipients, m))?;
        if !args.json {
            show(tool, &saved)?;
        }
        all.push(saved);
        if args.keep.is_some() || args.days.is_some() {
            let keep = args.keep.and_then(|keep| usize::try_from(keep).ok());
            data::prune(&desk.home, tool, keep, args.days, Timestamp::now())?;
        }
    }
    if args.json {
        print_json(&all)?;
    }
    Ok(0)
}

/// The tools that say what their data is.
fn with_data(desk: &Desk) -> Result<Vec<Slug>, Failure> {
    let mut tools = desk.tools(&[])?;
    tools.retain(|tool| {
        let plugin = atelier_plugin::Plugin::load(&desk.home.plugin(tool));
        plugin.is_ok_and(|plugin| !plugin.data.is_empty())
    });
    Ok(tools)
}

fn show(tool: &Slug, saved: &Saved) -> Result<(), Failure> {
    match &saved.backup {
        Some(backup) => {
            print(format!("saved {tool}: {} ({})\n", backup.file.display(), size(backup.size)))?;
        }
        None => print(format!("{tool} saved its data by its own script\n"))?,
    }
    saved.absent.iter().for_each(|what| note(&format!("{tool}: {what} is not there yet")));
    saved.skipped.iter().for_each(|path| note(&format!("{tool}: left out: {}", path.display())));
    Ok(())
}

fn list(desk: &Desk, tools: &[Slug], json: bool) -> Result<u8, Failure> {
    let mut all: Vec<Backup> = Vec::new();
    for tool in tools {
        all.extend(data::list(&desk.home, tool)?);
    }
    if json {
        print_json(&all)?;
        return Ok(0);
    }
    let row = |b: &Backup| [b.slug.to_string(), b.name.clone(), size(b.size)];
    match all.is_empty() {
        true => note("no backups"),
        false => {
            print(table(["TOOL", "BACKUP", "SIZE"], &all.iter().map(row).collect::<Vec<_>>()))?;
        }
    }
    Ok(0)
}

fn verify(desk: &Desk, tools: &[Slug], which: Option<&str>, json: bool) -> Result<u8, Failure> {
    let mut all = Vec::new();
    for tool in tools {
        let found = data::verify(&desk.home, tool, which)?;
        if !json {
            let (name, bytes) = (&found.backup.name, size(found.bytes));
            print(format!("{tool} {name} is whole: {} files, {bytes}\n", found.entries))?;
        }
        all.push(found);
    }
    if json {
        print_json(&all)?;
    }
    Ok(0)
}
