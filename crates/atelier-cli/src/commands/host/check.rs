//! `atelier host check`: the way to a machine, step by step, and what it lacks.

use atelier_api::Fault;
use atelier_api::Name;
use atelier_api::system::{Check, Nothing, SystemStatus, Verdict};
use atelier_far::{Facts, Far, FarError, Hosts};
use clap::Args;

use crate::args::name;
use crate::commands::doctor;
use crate::context::Context;
use crate::failure::Failure;
use crate::far::manner;
use crate::output::{Paint, print, print_json, size};
use crate::spawn;

/// Arguments of `atelier host check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Puts this program there when it is missing, as every command does that is for it."
)]
pub(crate) struct CheckArgs {
    /// The machine
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: Name,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Looks.
pub(crate) fn run(args: &CheckArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let checks = look(args, context)?;
    match args.json {
        true => print_json(&checks)?,
        false => print(doctor::text(&checks, Paint::stdout()))?,
    }
    Ok(doctor::verdict(&checks))
}

fn look(args: &CheckArgs, context: &Context<'_>) -> Result<Vec<Check>, Failure> {
    let home = context.home()?;
    let host = Hosts::named(&home, args.name.as_str())?;
    let where_to = host.ssh.clone();
    let far = match Far::open(host, &home, context.hooks.build(), &spawn::program(), manner()) {
        Ok(far) => far,
        Err(error) => return Ok(vec![failed(way(&error), &error)]),
    };
    let mut checks = vec![fine("ssh", format!("{where_to} lets us in"))];
    checks.push(fine("machine", far.facts.machine.clone()));
    checks.extend(programs(&far.facts));
    drop(far);
    checks.push(control_plane(args, context));
    Ok(checks)
}

fn way(error: &FarError) -> &'static str {
    match error {
        FarError::Machine { .. } => "machine",
        FarError::There { .. } | FarError::DiskFull { .. } => "atelier",
        _ => "ssh",
    }
}

fn control_plane(args: &CheckArgs, context: &Context<'_>) -> Check {
    let there = Context::new(context.hooks).on(Some(args.name.to_string()));
    match there.call::<SystemStatus>(&Nothing {}) {
        Ok(status) => {
            fine("atelier", format!("{} at {}", status.version, status.home.as_path().display()))
        }
        Err(Failure::Problem(problem)) => Check {
            name: "atelier".into(),
            verdict: Verdict::Failed,
            detail: problem.detail.clone(),
            remedy: problem.hints.first().cloned(),
            fixable: false,
        },
        Err(_) => missing("atelier", "its control plane does not answer", ""),
    }
}

fn programs(facts: &Facts) -> Vec<Check> {
    let free = size(facts.free_kib * 1024);
    vec![
        match facts.rsync {
            true => fine("rsync", "there".into()),
            false => Check {
                verdict: Verdict::Failed,
                ..missing("rsync", "missing: no project can travel there", "apt install rsync")
            },
        },
        match facts.git {
            true => fine("git", "there".into()),
            false => missing("git", "missing: differences leave nothing out", "apt install git"),
        },
        match facts.engines.first() {
            Some(socket) => fine("engine", socket.clone()),
            None => missing(
                "engine",
                "no container engine at the usual sockets: environments there have no services",
                "apt install docker.io, and the group docker; or services.engine in its config.yaml",
            ),
        },
        fine("disk", format!("{free} free")),
    ]
}

fn fine(name: &str, detail: String) -> Check {
    Check { name: name.into(), verdict: Verdict::Ok, detail, remedy: None, fixable: false }
}

fn missing(name: &str, detail: &str, remedy: &str) -> Check {
    let remedy = Some(remedy.to_owned()).filter(|text| !text.is_empty());
    Check {
        name: name.into(),
        verdict: Verdict::Warning,
        detail: detail.into(),
        remedy,
        fixable: false,
    }
}

fn failed(name: &str, error: &FarError) -> Check {
    Check {
        name: name.into(),
        verdict: Verdict::Failed,
        detail: error.to_string(),
        remedy: error.hints().into_iter().next(),
        fixable: false,
    }
}
