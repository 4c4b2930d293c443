//! `atelier runtime ls`: which runtimes work on this machine, and why others don't.

use atelier_api::sandbox::{RuntimeList, RuntimeView};
use atelier_api::system::{Nothing, Verdict};
use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Paint, print, print_json, table, visible};

/// Arguments of `atelier runtime ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Only the names of those that work, one on each line
    #[arg(short, long)]
    pub quiet: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Lists them.
pub(crate) fn run(args: &LsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let found = context.call::<RuntimeList>(&Nothing {})?;
    if args.json {
        print_json(&found)?;
    } else if args.quiet {
        let works = found.iter().filter(|one| one.available);
        print(works.map(|one| format!("{}\n", one.name)).collect::<String>())?;
    } else {
        print(text(&found, Paint::stdout()))?;
    }
    Ok(0)
}

fn text(found: &[RuntimeView], paint: Paint) -> String {
    let rows: Vec<_> = found.iter().map(row).collect();
    let head = ["NAME", "WORKS", "IMAGES", "PAUSE", "SNAPSHOTS KEEP", "WHAT ISOLATES"];
    let mut text = table(head, &rows);
    for one in found {
        let bad = one.checks.iter().filter(|check| {
            check.verdict == Verdict::Failed || (one.available && check.verdict == Verdict::Warning)
        });
        for (number, check) in bad.enumerate() {
            let begin = if number == 0 { "\n" } else { "" };
            let (name, check_name) = (paint.bold(&one.name), visible(&check.name));
            text.push_str(&format!("{begin}{name}: {check_name}: {}\n", visible(&check.detail)));
            if let Some(remedy) = &check.remedy {
                text.push_str(&format!("  {} {}\n", paint.cyan("to do:"), visible(remedy)));
            }
        }
    }
    text
}

fn row(one: &RuntimeView) -> [String; 6] {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let keeps = if one.memory_snapshots { "memory and files" } else { "files" };
    [
        one.name.clone(),
        yes(one.available),
        yes(one.images),
        yes(one.pause),
        keeps.to_owned(),
        one.isolation.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use atelier_api::system::Check;

    use super::*;

    #[test]
    fn one_that_does_not_work_says_why_and_what_to_do() {
        let check = Check {
            name: "runsc".into(),
            verdict: Verdict::Failed,
            detail: "not found".into(),
            remedy: Some("apt install runsc".into()),
            fixable: false,
        };
        let one = RuntimeView {
            name: "gvisor".into(),
            isolation: "a kernel in user space".into(),
            available: false,
            checks: vec![check],
            pause: true,
            memory_snapshots: false,
            images: true,
            volumes: true,
        };
        let text = text(&[one], Paint::plain());
        assert!(text.contains("\ngvisor  no     yes     yes    files"), "{text}");
        let why = "\n\ngvisor: runsc: not found\n  to do: apt install runsc\n";
        assert!(text.ends_with(why), "{text}");
    }
}
