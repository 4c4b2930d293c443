//! `atelier tool doctor`: what is wrong with the tools, and mending it.

use atelier_agents::Scope;
use atelier_api::ExitCode;
use atelier_toolrun::lifecycle::{self, State};
use atelier_tools::verbs::{self, InstallOptions};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Paint, print, print_json};

/// Arguments of `atelier tool doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Mend what can be mended
    #[arg(long)]
    pub fix: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Check {
    /// What.
    what: String,
    /// It is as it should be.
    ok: bool,
    /// What is wrong, or what was done about it.
    says: String,
}

/// Looks, and mends when it is told to. The exit code is 1 when something stays wrong.
pub(crate) fn run(args: &DoctorArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, true, args.json)?;
    let mut checks = packages(&desk, args.fix)?;
    checks.extend(settings(&desk)?);
    checks.extend(services(&desk)?);
    checks.extend(agents(&desk, args.fix)?);
    if args.json {
        print_json(&checks)?;
    } else {
        checks.iter().try_for_each(show)?;
    }
    let sound = checks.iter().all(|check| check.ok);
    Ok(if sound { 0 } else { ExitCode::Failed.code() })
}

fn show(check: &Check) -> Result<(), Failure> {
    let paint = Paint::stdout();
    let mark = if check.ok { paint.green("ok") } else { paint.yellow("!!") };
    print(format!("{mark} {:<20} {}\n", check.what, check.says))
}

fn check(what: &str, wrong: &[String]) -> Check {
    let ok = wrong.is_empty();
    let says = if ok { "as it should be".to_owned() } else { wrong.join("; ") };
    Check { what: what.to_owned(), ok, says }
}

/// Files and packages are what the lock says.
fn packages(desk: &Desk, fix: bool) -> Result<Vec<Check>, Failure> {
    let mut checks = Vec::new();
    for slug in desk.tools(&[])? {
        let wrong = || -> Result<Vec<String>, Failure> {
            let shown = verbs::show(&desk.home, slug.as_str())?;
            let mut wrong: Vec<_> = shown.problems.iter().map(ToString::to_string).collect();
            wrong.extend(shown.modified.iter().map(|file| format!("{file} was changed by hand")));
            if !shown.installed {
                wrong.push(format!("its packages are not installed: atelier tool install {slug}"));
            }
            Ok(wrong)
        };
        let mut found = wrong()?;
        if fix && !found.is_empty() {
            let tools = vec![slug.to_string()];
            let options = InstallOptions { tools, frozen: false, theirs: false };
            match verbs::install(&desk.home, &options, &desk.context().get()) {
                Ok(_) => found = wrong()?,
                Err(error) => found.push(error.to_string()),
            }
        }
        checks.push(check(slug.as_str(), &found));
    }
    Ok(checks)
}

/// Required settings are there, and this machine can read the secret ones.
fn settings(desk: &Desk) -> Result<Vec<Check>, Failure> {
    use atelier_toolrun::secrets::{Purpose, resolve};
    let mut checks = Vec::new();
    for slug in desk.tools(&[])? {
        let Ok(plugin) = atelier_plugin::Plugin::load(&desk.home.plugin(&slug)) else { continue };
        let around = |name: &str| std::env::var(name).ok();
        let wrong = match resolve(&desk.home, &slug, &plugin, Purpose::Service, around) {
            Err(error) => vec![error.to_string()],
            Ok(variables) if variables.missing.is_empty() => continue,
            Ok(variables) => {
                let missing = variables.missing.join(", ");
                vec![format!("{missing} missing: atelier tool setup {slug}")]
            }
        };
        checks.push(check(&format!("{slug} settings"), &wrong));
    }
    Ok(checks)
}

/// No service is in a bad state. What is merely stopped is the user's wish.
fn services(desk: &Desk) -> Result<Vec<Check>, Failure> {
    let tools = desk.tools(&[])?;
    let all = desk.with_manner(|manner| lifecycle::status(&desk.home, &tools, manner));
    let bad = |state: State| matches!(state, State::Partial | State::Unhealthy | State::Failed);
    let found = all.iter().filter(|status| bad(status.state)).map(|status| {
        let hint = format!("atelier tool logs {0}; atelier tool restart {0}", status.slug);
        check(&format!("{} service", status.slug), &[hint])
    });
    Ok(found.collect())
}

/// What was wired into agents is there, and nothing else of ours.
fn agents(desk: &Desk, fix: bool) -> Result<Vec<Check>, Failure> {
    let wiring = desk.wiring(Scope::User, false)?;
    let installed = desk.tools(&[])?;
    if fix {
        wiring.mend(&installed)?;
    }
    let wrong: Vec<_> = wiring.drift(&installed)?.into_iter().map(|drifted| drifted.says).collect();
    Ok(vec![check("agents", &wrong)])
}
