//! `atelier tool upgrade`: a new version takes the old one's place, or nothing changes.

use atelier_plugin::Slug;
use atelier_tools::verbs::{self, Outcome, Prefer, UpgradeOptions, Upgraded};
use clap::Args;

use super::args::SomeOrAll;
use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json};

/// Arguments of `atelier tool upgrade`.
#[derive(Debug, Args)]
pub(crate) struct UpgradeArgs {
    #[command(flatten)]
    pub tools: SomeOrAll,
    /// Go to this branch, tag, commit or range of versions
    #[arg(long, value_name = "REF", conflicts_with = "all")]
    pub to: Option<String>,
    /// Where you and the new version changed the same file, keep yours
    #[arg(long, conflicts_with = "theirs")]
    pub ours: bool,
    /// Where you and the new version changed the same file, take the new one; yours is put aside
    #[arg(long)]
    pub theirs: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Upgrades them, each for itself: one that fails stays as it was, and the others go on.
pub(crate) fn run(args: &UpgradeArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, args.yes, args.json)?;
    let changing = desk.context();
    let prefer = match (args.ours, args.theirs) {
        (true, _) => Prefer::Ours,
        (_, true) => Prefer::Theirs,
        _ => Prefer::Neither,
    };
    let options = UpgradeOptions { to: args.to.clone(), prefer };
    let one = |name: &Slug| {
        let result = verbs::upgrade(&desk.home, name.as_str(), &options, &changing.get());
        let failed = result.as_ref().err().map(atelier_api::Fault::problem);
        Outcome { slug: name.to_string(), done: result.ok(), failed }
    };
    let outcomes = match args.tools.all {
        true => verbs::upgrade_all(&desk.home, &options, &changing.get())?,
        false => args.tools.names.iter().map(one).collect(),
    };
    finish(&outcomes, args.json)
}

/// Says what became of each. The exit code is that of the first failure.
pub(super) fn finish(outcomes: &[Outcome], json: bool) -> Result<u8, Failure> {
    if json {
        print_json(&outcomes)?;
    } else {
        for outcome in outcomes {
            outcome.done.iter().try_for_each(|done| show(&outcome.slug, done))?;
            outcome.failed.iter().for_each(|problem| {
                Failure::from(problem.clone()).report(false);
            });
        }
    }
    let failed = outcomes.iter().find_map(|outcome| outcome.failed.as_ref());
    Ok(failed.map_or(0, |problem| problem.exit))
}

fn show(slug: &str, done: &Upgraded) -> Result<(), Failure> {
    if done.same {
        return print(format!("{slug} is at its newest version, {}\n", done.from));
    }
    print(format!("{slug}: {} to {}\n", done.from, done.to))?;
    done.packages.iter().try_for_each(|package| print(format!("  {package}\n")))?;
    done.kept.iter().for_each(|file| note(&format!("{slug}: kept yours: {file}")));
    done.replaced.iter().for_each(|file| note(&format!("{slug}: yours was put aside: {file}")));
    Ok(())
}
