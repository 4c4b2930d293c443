//! `atelier sandbox show`: everything about one sandbox.

use atelier_api::env::{NetworkMode, Resources};
use atelier_api::sandbox::{Expiry, NetworkPolicy, Rates, SandboxDetail, SandboxRef, SandboxShow};
use clap::Args;
use jiff::Timestamp;

use super::args::SandboxArg;
use super::ls::{from, state};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{age, print, print_json, size, until, visible};

/// Arguments of `atelier sandbox show`.
#[derive(Debug, Args)]
#[command(after_help = "The tokens that open the sandbox are in the JSON only.")]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub sandbox: SandboxArg,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows it.
pub(crate) fn run(args: &ShowArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let found = show(context, &args.sandbox)?;
    if args.json {
        print_json(&found)?;
    } else {
        print(text(&found))?;
    }
    Ok(0)
}

/// What the control plane knows of a sandbox.
pub(super) fn show(context: &Context<'_>, one: &SandboxArg) -> Result<SandboxDetail, Failure> {
    context.call::<SandboxShow>(&SandboxRef { sandbox: one.sandbox.clone() })
}

fn text(detail: &SandboxDetail) -> String {
    let one = &detail.sandbox;
    let mut lines = vec![("id", one.id.clone())];
    let mut optional = |name, value: Option<String>| {
        if let Some(value) = value {
            lines.push((name, value));
        }
    };
    optional("name", one.name.as_ref().map(ToString::to_string));
    optional("state", Some(state(one.state).to_owned()));
    optional("runtime", Some(one.runtime.clone()));
    let made = from(one).map(|from| format!("{} ago, from {from}", age(one.created_at)));
    optional("made", Some(made.unwrap_or_else(|| format!("{} ago", age(one.created_at)))));
    optional("started", Some(format!("{} ago", age(one.started_at))));
    optional("ends", one.expires_at.map(|end| expiry(end, one.on_expiry)));
    optional("network", Some(network(&detail.network)));
    optional("limits", Some(limits(&one.resources)));
    optional("rates", rates(&one.rates));
    optional("user", detail.user.clone());
    optional("workdir", detail.workdir.clone());
    optional("ports at", detail.url.clone().or_else(|| detail.host.clone()));
    optional("public", one.public.then(|| "its ports need no token".to_owned()));
    optional("resumes", one.auto_resume.then(|| "by traffic, when it is paused".to_owned()));
    for mount in &one.volumes {
        optional("volume", Some(format!("{} at {}", mount.volume, mount.path)));
    }
    for (key, value) in &one.metadata {
        optional("word", Some(format!("{key}={value}")));
    }
    for note in &detail.notes {
        optional("note", Some(note.clone()));
    }
    lines.iter().map(|(name, value)| format!("{name:<10}{}\n", visible(value))).collect()
}

fn expiry(end: Timestamp, then: Expiry) -> String {
    let then = match then {
        Expiry::Kill => "removed",
        Expiry::Pause => "paused",
        Expiry::Stop => "stopped",
    };
    format!("in {}, then it is {then}", until(end, Timestamp::now()))
}

/// A policy in a line.
pub(super) fn network(policy: &NetworkPolicy) -> String {
    let (allow, deny) = (policy.allow.join(", "), policy.deny.join(", "));
    let passes = match policy.mode {
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Allowlist if allow.is_empty() => "only what is allowed: nothing".to_owned(),
        NetworkMode::Allowlist => format!("only {allow}"),
        NetworkMode::Open => match (deny.is_empty(), allow.is_empty()) {
            (true, _) => "open".to_owned(),
            (false, true) => format!("open, but not {deny}"),
            (false, false) => format!("open, but not {deny}, except {allow}"),
        },
    };
    let hosts: Vec<_> = policy.rules.keys().map(String::as_str).collect();
    match hosts.is_empty() {
        true => passes,
        false => format!("{passes}; with headers for {}", hosts.join(", ")),
    }
}

/// Limits in a line.
pub(crate) fn limits(limits: &Resources) -> String {
    let parts: Vec<_> = [
        limits.memory.map(|bytes| format!("{} of memory", size(bytes))),
        limits.cpus.map(|cores| format!("{cores} cores")),
        limits.processes.map(|count| format!("{count} processes")),
        limits.disk.map(|bytes| format!("{} of disk", size(bytes))),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// What its devices are held to, if they are.
fn rates(rates: &Rates) -> Option<String> {
    let parts: Vec<_> = [
        rates.disk_bandwidth.map(|bytes| format!("disk {}/s", size(bytes))),
        rates.disk_iops.map(|count| format!("disk {count} requests/s")),
        rates.network_bandwidth.map(|bytes| format!("network {}/s", size(bytes))),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_reads_as_a_sentence() {
        let policy = |mode, allow: &[&str], deny: &[&str]| {
            let text = |rules: &[&str]| rules.iter().map(|&rule| rule.to_owned()).collect();
            let (allow, deny) = (text(allow), text(deny));
            network(&NetworkPolicy { mode, allow, deny, ..NetworkPolicy::default() })
        };
        assert_eq!(policy(NetworkMode::Allowlist, &["a:1", "b:2"], &[]), "only a:1, b:2");
        let but = policy(NetworkMode::Open, &["a:1"], &["10.0.0.0/8"]);
        assert_eq!(but, "open, but not 10.0.0.0/8, except a:1");
        let json = r#"{"rules": {"api.test": {"headers": {"x-key": "***"}}}}"#;
        assert_eq!(
            network(&serde_json::from_str(json).unwrap()),
            "open; with headers for api.test"
        );
    }
}
