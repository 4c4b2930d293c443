//! `atelier gc`: what is old and nobody needs goes.

use std::io::{self, Write};
use std::time::Duration;

use atelier_api::gc::{Free, GcEnvironment, GcInput, GcReport, SystemGc};
use atelier_config::units;
use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{age, confirm, count, print, print_json, size, table, visible};

/// Arguments of `atelier gc`.
#[derive(Debug, Args)]
#[command(
    after_help = "Looks at the environments of all projects. An environment that is in use stays, and so does one with \
                        changes that were not applied, unless --force is given. What would go is shown first."
)]
pub(crate) struct GcArgs {
    /// Environments that nobody used for so long, such as 7d
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration)]
    pub older_than: Option<Duration>,
    /// Environments whose branch is merged or deleted in the project
    #[arg(long)]
    pub merged: bool,
    /// Those that were used longest ago, until so much of the disk is free, such as 20% or 50GiB
    #[arg(long, value_name = "PERCENT|SIZE", value_parser = free)]
    pub disk: Option<Free>,
    /// Also with changes that were not applied
    #[arg(short, long)]
    pub force: bool,
    /// Only say what would go
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

fn free(text: &str) -> Result<Free, String> {
    if let Some(number) = text.trim().strip_suffix('%') {
        let percent = number.trim().parse().ok().filter(|percent| *percent <= 100);
        return percent.map(Free::Percent).ok_or_else(|| format!("{text:?} is no share of a disk"));
    }
    units::parse_size(text).map(Free::Bytes).map_err(|bad| bad.to_string())
}

/// Shows what would go, asks, and lets it go.
pub(crate) fn run(args: &GcArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let mut input = GcInput {
        older_than: args.older_than.map(|time| time.as_secs()),
        merged: args.merged,
        free: args.disk,
        force: args.force,
        dry_run: true,
    };
    if args.dry_run || !args.yes {
        let report = context.call_slowly::<SystemGc>("looking at environments", &input)?;
        if args.dry_run {
            return show(&report, args);
        }
        let _ = write!(io::stderr(), "{}", text(&report, true));
        let nothing = report.environments.is_empty() && report.leftovers.is_empty();
        if nothing || !confirm("Remove these?")? {
            return Ok(0);
        }
    }
    input.dry_run = false;
    let report = context.call_slowly::<SystemGc>("removing", &input)?;
    show(&report, args)
}

fn show(report: &GcReport, args: &GcArgs) -> Result<u8, Failure> {
    if args.json {
        print_json(report)?;
    } else {
        print(text(report, args.dry_run))?;
    }
    Ok(0)
}

fn text(report: &GcReport, dry_run: bool) -> String {
    let mut text = String::new();
    if !report.environments.is_empty() {
        let rows: Vec<[String; 5]> = report.environments.iter().map(row).collect();
        text.push_str(&table(["ENVIRONMENT", "PROJECT", "LAST USED", "SIZE", "REASON"], &rows));
    }
    for kept in &report.kept {
        text.push_str(&format!("stays: {}/{}, {}\n", kept.project, kept.name, visible(&kept.why)));
    }
    for leftover in &report.leftovers {
        text.push_str(&format!("{}\n", visible(leftover)));
    }
    let environments = count(report.environments.len(), "environment");
    let freed = size(report.freed_bytes);
    text + &match dry_run {
        true => format!("{environments} would go, {freed} would be freed\n"),
        false => format!("{environments} removed, {freed} freed\n"),
    }
}

fn row(env: &GcEnvironment) -> [String; 5] {
    [
        env.name.to_string(),
        env.project.clone(),
        age(env.last_used),
        size(env.disk_bytes),
        env.reason.clone(),
    ]
}
