//! `atelier dns status`: whether names are answered for, asked for and found. Nothing is started.

use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};
use std::sync::mpsc;
use std::time::Duration;

use atelier_api::ExitCode;
use atelier_api::system::{Check, Verdict};
use clap::Args;
use serde::Serialize;

use super::target::{RootArgs, Source, as_root};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Paint, print, print_json};
use crate::system::ResolverStatus;

/// How long the system may take to find a name.
const PATIENCE: Duration = Duration::from_secs(5);

/// Arguments of `atelier dns status`.
#[derive(Debug, Args)]
#[command(after_help = "Exits with 8 when names are not found.")]
pub(crate) struct StatusArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub root: RootArgs,
}

/// How it stands.
#[derive(Debug, Serialize)]
struct Report {
    /// Whether a control plane runs.
    running: bool,
    /// Where its name server listens.
    server: Option<String>,
    /// Why it does not.
    problem: Option<String>,
    suffix: String,
    /// How many names of services there are.
    names: u64,
    hook: ResolverStatus,
    /// Whether the system's resolver finds our name.
    resolves: bool,
}

/// Shows it.
pub(crate) fn run(args: &StatusArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let source = Source::ask(context, false)?;
    let target = source.target(&args.root, as_root("dns setup"));
    let hook = context.hooks.resolver().look(&target)?;
    let server = source.report.as_ref().and_then(|report| report.server.clone());
    let probe = source.report.as_ref().map(|report| report.probe.clone());
    let report = Report {
        running: source.report.is_some(),
        resolves: server.is_some() && args.root.is_here() && probe.is_some_and(found),
        server,
        problem: source.report.as_ref().and_then(|report| report.problem.clone()),
        names: source.report.as_ref().map_or(0, |report| report.names),
        suffix: source.suffix,
        hook,
    };
    if args.json {
        print_json(&report)?;
    } else {
        print(text(&report, Paint::stdout()))?;
    }
    Ok(if report.resolves { 0 } else { ExitCode::Configuration as u8 })
}

/// What the doctor says of the hook: nothing where there is none. A hook that somebody else has changed, or
/// that was left half-way, is taken back and made anew when asked, which only root may.
pub(crate) fn check(context: &Context<'_>, fix: bool) -> Option<Check> {
    let source = Source::ask(context, false).ok()?;
    let root = RootArgs { root: "/".into() };
    let target = source.target(&root, as_root("dns setup"));
    let resolver = context.hooks.resolver();
    let hook = resolver.look(&target).ok()?;
    let check = |verdict, detail: String, remedy: Option<&str>, fixable| Check {
        name: "resolver".into(),
        verdict,
        detail,
        remedy: remedy.map(str::to_owned),
        fixable,
    };
    let changed: Vec<String> = hook.changed.iter().map(|f| f.display().to_string()).collect();
    let detail = match hook.state.as_str() {
        "none" => return None,
        "changed" => format!("somebody else changed {}", changed.join(", ")),
        "interrupted" => "the hook is half set up".to_owned(),
        "different" => "it asks another server than ours".to_owned(),
        _ => {
            return Some(check(
                Verdict::Ok,
                "it asks us for names of services".into(),
                None,
                false,
            ));
        }
    };
    let may = rustix::process::geteuid().is_root() && source.server.is_some();
    if !(fix && may) {
        let remedy = "atelier dns remove, then atelier dns setup";
        return Some(check(Verdict::Warning, detail, Some(remedy), may));
    }
    Some(match resolver.unhook(&target).and_then(|_| resolver.hook(&target)) {
        Ok(_) => check(Verdict::Fixed, format!("{detail}: set up anew"), None, false),
        Err(problem) => {
            check(Verdict::Failed, format!("{detail}: {}", problem.detail), None, false)
        }
    })
}

/// Asks the system, as every program does. It may wait for servers that are away.
fn found(name: String) -> bool {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let all = (name.as_str(), 0).to_socket_addrs();
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let _ = tell.send(all.is_ok_and(|mut all| all.any(|at| at.ip() == here)));
    });
    told.recv_timeout(PATIENCE).unwrap_or(false)
}

fn text(report: &Report, paint: Paint) -> String {
    let server = match (&report.server, &report.problem, report.running) {
        (Some(at), ..) => format!("{at}, {} names below .{}", report.names, report.suffix),
        (None, Some(why), _) => why.clone(),
        (None, None, true) => "off".to_owned(),
        (None, None, false) => "the control plane does not run".to_owned(),
    };
    let (hook, remedy) = hook(report);
    let found = if report.resolves { "names are found" } else { "names are not found" };
    let mut text = format!("server    {server}\nresolver  {hook}\nlook-up   {found}\n");
    if let Some(remedy) = remedy {
        text.push_str(&format!("  {} {remedy}\n", paint.cyan("to do:")));
    }
    text
}

/// How the hook stands, and what to do about it.
fn hook(report: &Report) -> (String, Option<&'static str>) {
    let hook = &report.hook;
    let domains: Vec<String> = hook.domains.iter().map(|domain| format!(".{domain}")).collect();
    let server = hook.server.map(|at| at.to_string()).unwrap_or_default();
    let way = hook.way.clone().unwrap_or_default();
    let asks = format!("{way} asks {server} for {}", domains.join(", "));
    let files: Vec<String> = hook.changed.iter().map(|f| f.display().to_string()).collect();
    match hook.state.as_str() {
        "none" if report.resolves => ("asks us, by other means than ours".to_owned(), None),
        "none" => ("not set up".to_owned(), Some("atelier dns setup")),
        "different" if !report.running => (asks, Some("start it: atelier serve --background")),
        "different" => (format!("{asks}, which is not ours"), Some("atelier dns setup")),
        "interrupted" => {
            ("half set up".to_owned(), Some("atelier dns setup, or atelier dns remove"))
        }
        "changed" => (
            format!("changed by somebody else: {}", files.join(", ")),
            Some("atelier dns remove, then atelier dns setup"),
        ),
        _ if report.resolves => (asks, None),
        _ if !report.running => (asks, Some("start it: atelier serve --background")),
        _ => (asks, Some("see whether the resolver took it up; it may need to be restarted")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(state: &str, resolves: bool) -> Report {
        let hook = ResolverStatus {
            state: state.into(),
            way: Some("systemd-resolved".into()),
            server: Some("127.0.0.1:5354".parse().unwrap()),
            domains: vec!["test".into()],
            files: vec!["/etc/a".into()],
            changed: vec!["/etc/a".into()],
        };
        let (server, suffix) = (Some("127.0.0.1:5354".into()), "test".into());
        Report { running: true, server, problem: None, suffix, names: 3, hook, resolves }
    }

    #[test]
    fn what_works_needs_nothing_to_be_done() {
        let text = text(&report("set_up", true), Paint::plain());
        assert_eq!(
            text,
            "server    127.0.0.1:5354, 3 names below .test\n\
             resolver  systemd-resolved asks 127.0.0.1:5354 for .test\n\
             look-up   names are found\n"
        );
    }

    #[test]
    fn what_does_not_says_what_to_do() {
        for (state, says) in [
            ("none", "to do: atelier dns setup\n"),
            ("different", "which is not ours"),
            ("interrupted", "atelier dns remove"),
            ("changed", "changed by somebody else: /etc/a"),
            ("set_up", "it may need to be restarted"),
        ] {
            let text = text(&report(state, false), Paint::plain());
            assert!(text.contains(says) && text.contains("names are not found"), "{text}");
        }
    }
}
