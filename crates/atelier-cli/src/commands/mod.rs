//! One verb, one file. Each has its arguments and one function that does it.

pub(crate) mod attach;
pub(crate) mod audit;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod dial;
pub(crate) mod dns;
pub(crate) mod docs;
pub(crate) mod doctor;
pub(crate) mod env;
pub(crate) mod events;
pub(crate) mod gc;
pub(crate) mod host;
pub(crate) mod hostnames;
pub(crate) mod image;
pub(crate) mod init;
pub(crate) mod man;
mod many;
pub(crate) mod mcp;
pub(crate) mod network;
pub(crate) mod openapi;
pub(crate) mod run;
pub(crate) mod runtime;
pub(crate) mod sandbox;
pub(crate) mod secret;
pub(crate) mod serve;
pub(crate) mod snapshot;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod template;
pub(crate) mod token;
pub(crate) mod tool;
pub(crate) mod version;
pub(crate) mod volume;

use crate::cli::Command;
use crate::context::Context;
use crate::failure::Failure;

/// Does what was asked and gives the exit code.
pub(crate) fn dispatch(command: Command, context: &Context<'_>) -> Result<u8, Failure> {
    match command {
        Command::Run(args) => run::run(&args, context),
        Command::Attach(args) => attach::run(&args, context),
        Command::Env(command) => env::dispatch(&command, context),
        Command::Network(command) => network::dispatch(&command, context),
        Command::Dns(command) => dns::dispatch(&command, context),
        Command::Hostnames(command) => hostnames::dispatch(&command, context),
        Command::Sandbox(command) => sandbox::dispatch(&command, context),
        Command::Snapshot(command) => snapshot::dispatch(&command, context),
        Command::Volume(command) => volume::dispatch(&command, context),
        Command::Secret(command) => secret::dispatch(&command, context),
        Command::Image(command) => image::dispatch(&command, context),
        Command::Template(command) => template::dispatch(&command, context),
        Command::Runtime(command) => runtime::dispatch(&command, context),
        Command::Token(command) => token::dispatch(&command, context),
        Command::Tool(command) => tool::dispatch(&command, context),
        Command::Mcp(args) => mcp::run(&args, context),
        Command::Host(command) => host::dispatch(&command, context),
        Command::Dial(args) => dial::run(&args, context),
        Command::Status(args) => status::run(&args, context),
        Command::Stop(args) => stop::run(&args, context),
        Command::Doctor(args) => doctor::run(&args, context),
        Command::Gc(args) => gc::run(&args, context),
        Command::Config(args) => config::run(&args, context),
        Command::Init(args) => init::run(&args, context),
        Command::Serve(args) => serve::run(&args, context),
        Command::Audit(args) => audit::run(&args, context),
        Command::Events => events::run(context),
        Command::Openapi => openapi::run(context),
        Command::Completions(args) => completions::run(&args),
        Command::Docs(args) => docs::run(&args, context),
        Command::Man(args) => man::run(&args, context),
        Command::Version(args) => version::run(&args, context),
    }
}
