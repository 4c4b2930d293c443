//! `atelier doctor`: what is missing on this machine, what is wrong in the home, and how to mend it.

use atelier_api::ExitCode;
use atelier_api::Problem;
use atelier_api::system::{Check, DoctorInput, SystemDoctor, Verdict};
use atelier_client::ControlPlane;
use atelier_config::env_vars;
use clap::Args;

use crate::commands::dns;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Paint, confirm, print, print_json, visible};

/// Arguments of `atelier doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Exits with 8 when something does not work.")]
pub(crate) struct DoctorArgs {
    /// Mend what can be mended
    #[arg(long)]
    pub fix: bool,
    /// Do not ask before mending
    #[arg(long)]
    pub yes: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Checks, and mends when asked.
pub(crate) fn run(args: &DoctorArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let mut checks = examine(context, false)?;
    if args.fix && checks.iter().any(|check| check.fixable) {
        if !args.json {
            print(text(&checks, Paint::stdout()))?;
        }
        if !(args.yes || confirm("Mend what can be mended?")?) {
            return Ok(verdict(&checks));
        }
        checks = examine(context, true)?;
    }
    if args.json {
        print_json(&checks)?;
    } else {
        print(text(&checks, Paint::stdout()))?;
    }
    Ok(verdict(&checks))
}

/// What the control plane finds, and what only the user's side sees.
fn examine(context: &Context<'_>, fix: bool) -> Result<Vec<Check>, Failure> {
    let mut checks = look(context, fix)?;
    checks.extend(dns::status::check(context, fix));
    checks.extend(strangers());
    Ok(checks)
}

/// What the control plane finds; what can be found without it when it cannot be reached.
fn look(context: &Context<'_>, fix: bool) -> Result<Vec<Check>, Failure> {
    let plane = context.control_plane()?;
    let unreachable = match ask(context, &plane, fix) {
        Err(Failure::Problem(problem)) => problem,
        other => return other,
    };
    let home = context.home()?;
    if !fix {
        let mut checks = vec![down(&unreachable)];
        checks.extend(context.hooks.local_doctor(&home));
        return Ok(checks);
    }
    let mut checks = context.hooks.repair(&home)?;
    match ask(context, &plane, true) {
        Ok(found) => checks.extend(found),
        Err(Failure::Problem(problem)) => {
            checks.push(down(&problem));
            checks.extend(context.hooks.local_doctor(&home));
        }
        Err(other) => return Err(other),
    }
    Ok(checks)
}

fn ask(context: &Context<'_>, plane: &ControlPlane<'_>, fix: bool) -> Result<Vec<Check>, Failure> {
    context.wait(async { Ok(plane.call::<SystemDoctor>(&DoctorInput { fix }).await?) })
}

/// Variables that are set for Atelier and that it does not know.
fn strangers() -> impl Iterator<Item = Check> {
    env_vars::strangers_here().into_iter().map(|stranger| Check {
        name: "variables".to_owned(),
        verdict: Verdict::Warning,
        detail: format!("{} is set, and nothing reads it", stranger.name),
        remedy: stranger.meant.map(|meant| format!("set {meant}, if that was meant")),
        fixable: false,
    })
}

fn down(problem: &Problem) -> Check {
    Check {
        name: "control plane".to_owned(),
        verdict: Verdict::Failed,
        detail: problem.detail.clone(),
        remedy: (!problem.hints.is_empty()).then(|| problem.hints.join("; ")),
        fixable: false,
    }
}

pub(crate) fn verdict(checks: &[Check]) -> u8 {
    let failed = checks.iter().any(|check| check.verdict == Verdict::Failed);
    if failed { ExitCode::Configuration.code() } else { ExitCode::Done.code() }
}

pub(crate) fn text(checks: &[Check], paint: Paint) -> String {
    let mut text = String::new();
    for check in checks {
        let mark = match check.verdict {
            Verdict::Ok => paint.green("ok     "),
            Verdict::Warning => paint.yellow("warning"),
            Verdict::Failed => paint.red("failed "),
            Verdict::Fixed => paint.green("fixed  "),
        };
        let (name, detail) = (paint.bold(&check.name), visible(&check.detail));
        text.push_str(&format!("{mark}  {name}: {detail}\n"));
        if let Some(remedy) = &check.remedy {
            let by_itself = if check.fixable { " (or: atelier doctor --fix)" } else { "" };
            text.push_str(&format!("         {} {remedy}{by_itself}\n", paint.cyan("to do:")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(verdict: Verdict) -> Check {
        Check {
            name: "cgroups".into(),
            verdict,
            detail: "none are delegated".into(),
            remedy: Some("log in through systemd".into()),
            fixable: true,
        }
    }

    #[test]
    fn only_what_does_not_work_fails_the_command() {
        assert_eq!(verdict(&[check(Verdict::Ok), check(Verdict::Warning)]), 0);
        assert_eq!(verdict(&[check(Verdict::Fixed), check(Verdict::Failed)]), 8);
    }

    #[test]
    fn a_finding_says_what_to_do() {
        let text = text(&[check(Verdict::Warning)], Paint::plain());
        assert_eq!(
            text,
            "warning  cgroups: none are delegated\n         \
             to do: log in through systemd (or: atelier doctor --fix)\n"
        );
    }
}
