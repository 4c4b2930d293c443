//! The tree of commands. What each takes and does is in its own file.

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{
    attach, audit, completions, config, dial, dns, docs, doctor, env, gc, host, hostnames, image,
    init, man, mcp, network, run, runtime, sandbox, secret, serve, snapshot, status, stop,
    template, token, tool, version, volume,
};

/// A self-hosted workshop for developers and AI agents.
///
/// An environment is an isolated copy of your project, made in milliseconds, in which commands and
/// agents run without touching yours. A sandbox is a machine of its own, from an image, a template
/// or a snapshot.
#[derive(Debug, Parser)]
#[command(
    name = "atelier",
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = BEGIN
)]
pub(crate) struct Cli {
    /// Do it on this far host instead of here (`atelier host`)
    #[arg(long, global = true, value_name = "HOST", display_order = 1000)]
    pub on: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a command in an environment of this project, which is made when it is new
    Run(Box<run::RunArgs>),
    /// Go to a command that runs in an environment
    Attach(attach::AttachArgs),
    /// Create, list, compare, apply and remove environments
    #[command(subcommand, visible_alias = "environment")]
    Env(Box<env::EnvCommand>),
    /// Show the networks of environments, and make them anew
    #[command(subcommand)]
    Network(network::NetworkCommand),
    /// Make names of services known on this machine
    #[command(subcommand)]
    Dns(dns::DnsCommand),
    /// Add, list and remove further names of services
    #[command(subcommand, visible_alias = "hostname")]
    Hostnames(hostnames::HostnamesCommand),
    /// Create, enter, copy, pause, fork and remove sandboxes: isolated machines
    #[command(subcommand, visible_alias = "sb")]
    Sandbox(Box<sandbox::SandboxCommand>),
    /// List and remove saved states of sandboxes
    #[command(subcommand)]
    Snapshot(snapshot::SnapshotCommand),
    /// Make, list, show and remove files that sandboxes share and that outlive them
    #[command(subcommand)]
    Volume(volume::VolumeCommand),
    /// Keep, list and remove values that header rules name and that no sandbox sees
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// Build, list and remove prepared beginnings of sandboxes
    #[command(subcommand)]
    Template(Box<template::TemplateCommand>),
    /// Pull, import, build and remove what sandboxes start from
    #[command(subcommand)]
    Image(image::ImageCommand),
    /// List what isolates sandboxes, and what of it works on this machine
    #[command(subcommand)]
    Runtime(runtime::RuntimeCommand),
    /// Install MCP servers, local services and skills, and wire them into coding agents
    #[command(subcommand)]
    Tool(Box<tool::ToolCommand>),
    /// Be an MCP server, for agents
    Mcp(mcp::McpArgs),
    /// Name far hosts, machines that SSH reaches, for --on
    #[command(subcommand)]
    Host(host::HostCommand),
    /// Show how the control plane is
    Status(status::StatusArgs),
    /// Stop the control plane; environments go on
    Stop(stop::StopArgs),
    /// Check this machine and what Atelier keeps on it
    Doctor(doctor::DoctorArgs),
    /// Remove environments that are old or whose work has arrived, and what nobody needs
    Gc(gc::GcArgs),
    /// Show every setting, and where it comes from
    Config(config::ConfigArgs),
    /// Write a commented atelier.yaml for this project
    Init(init::InitArgs),
    /// Run the control plane (commands start it by themselves)
    Serve(serve::ServeArgs),
    /// Make, list and revoke keys of the API
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Show who changed what
    Audit(audit::AuditArgs),
    /// Follow what happens, a JSON object on each line
    Events,
    /// Write the OpenAPI document of the API
    Openapi,
    /// Write a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Write the manual pages
    Man(man::ManArgs),
    /// Join standard input and output with this machine's control plane, or what it leads to
    #[command(hide = true)]
    Dial(dial::DialArgs),
    /// Write the reference pages
    #[command(hide = true)]
    Docs(docs::DocsArgs),
    /// Show the version
    Version(version::VersionArgs),
}

impl Command {
    /// Whether it is about this machine alone, and can be done on no other.
    pub(crate) const fn is_local(&self) -> bool {
        matches!(
            self,
            Self::Dns(_)
                | Self::Host(_)
                | Self::Tool(_)
                | Self::Mcp(_)
                | Self::Config(_)
                | Self::Init(_)
                | Self::Serve(_)
                | Self::Openapi
                | Self::Completions(_)
                | Self::Man(_)
                | Self::Docs(_)
                | Self::Dial(_)
                | Self::Version(_)
        )
    }

    /// Whether the command was asked for JSON: then its errors are JSON as well.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Env(command) => command.json(),
            Self::Network(command) => command.json(),
            Self::Dns(command) => command.json(),
            Self::Hostnames(command) => command.json(),
            Self::Sandbox(command) => command.json(),
            Self::Snapshot(command) => command.json(),
            Self::Volume(command) => command.json(),
            Self::Secret(command) => command.json(),
            Self::Template(command) => command.json(),
            Self::Image(command) => command.json(),
            Self::Runtime(command) => command.json(),
            Self::Token(command) => command.json(),
            Self::Host(command) => command.json(),
            Self::Tool(command) => command.json(),
            Self::Status(args) => args.json,
            Self::Doctor(args) => args.json,
            Self::Config(args) => args.json,
            Self::Gc(args) => args.json,
            Self::Audit(args) => args.json,
            Self::Version(args) => args.json,
            Self::Events | Self::Openapi => true,
            Self::Run(_)
            | Self::Attach(_)
            | Self::Mcp(_)
            | Self::Stop(_)
            | Self::Init(_)
            | Self::Serve(_)
            | Self::Completions(_)
            | Self::Dial(_)
            | Self::Man(_)
            | Self::Docs(_) => false,
        }
    }
}

/// Commands by what they are for, in the order in which users need them.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Work on a project", &["run", "attach", "env", "network", "dns", "hostnames", "init"]),
    ("Sandboxes", &["sandbox", "snapshot", "volume", "secret", "template", "image", "runtime"]),
    ("Tools of agents", &["tool", "mcp"]),
    (
        "The control plane",
        &["status", "stop", "doctor", "gc", "config", "serve", "host", "token", "audit", "events"],
    ),
    ("Reference", &["openapi", "completions", "man", "version"]),
];

/// The help of `atelier` itself. clap puts all subcommands under one heading; here each group has
/// its own.
const TEMPLATE: &str = "{about-with-newline}\n{usage-heading} {usage}{after-help}";

/// The whole command line, as `--help` shows it.
#[must_use]
pub fn command_line() -> clap::Command {
    let command = Cli::command();
    let help = grouped(&command);
    command.help_template(TEMPLATE).after_help(help)
}

/// Every group with its commands, and what else `--help` says.
fn grouped(command: &clap::Command) -> String {
    let heading = command.get_styles().get_header();
    let literal = command.get_styles().get_literal();
    let (heading, plain) = (heading.render(), heading.render_reset());
    let mut text = String::new();
    for (title, names) in GROUPS {
        text.push_str(&format!("{heading}{title}:{plain}\n"));
        for name in names {
            let found = command.find_subcommand(name);
            let about = found.and_then(clap::Command::get_about).map(ToString::to_string);
            let (on, off) = (literal.render(), literal.render_reset());
            text.push_str(&format!("  {on}{name:<13}{off}{}\n", about.unwrap_or_default()));
        }
        text.push('\n');
    }
    let on = literal.render();
    let off = literal.render_reset();
    text.push_str(&format!(
        "{heading}Options:{plain}\n  {on}-h, --help{off}     Say this; after a command, say what it takes\n  \
         {on}-V, --version{off}  Say the version\n  {on}--on HOST{off}      Do it on a far host instead of here\n\n{BEGIN}"
    ));
    text
}

const BEGIN: &str = "\
Begin with:  atelier run fix-login -- npm test             a copy of your project
             atelier sandbox run alpine:3.20 -- uname -a   a machine of its own";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_that_is_shown_is_in_one_group() {
        let mut grouped: Vec<_> =
            GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let command = Cli::command();
        let shown = command.get_subcommands().filter(|c| !c.is_hide_set());
        let mut shown: Vec<_> = shown.map(clap::Command::get_name).collect();
        grouped.sort_unstable();
        shown.sort_unstable();
        assert_eq!(grouped, shown);
    }

    #[test]
    fn the_tree_is_sound() {
        command_line().debug_assert();
    }
}
