//! `atelier serve`: the control plane, in the foreground, or started in the background.

use std::net::SocketAddr;

use atelier_api::system::{Nothing, SystemStatus};
use atelier_api::{ExitCode, Problem};
use atelier_config::{Layer, Settings};
use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::hooks::ServeOptions;
use crate::output::print;

/// Arguments of `atelier serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Serve the API over TCP as well, such as at 127.0.0.1:4700
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Return when it serves, and let it run
    #[arg(long)]
    pub background: bool,
    /// What `--background` and every command start: apart from any terminal
    #[arg(long, hide = true, conflicts_with = "background")]
    pub detached: bool,
}

/// Serves.
pub(crate) fn run(args: &ServeArgs, context: &Context<'_>) -> Result<u8, Failure> {
    if args.background {
        return background(args, context);
    }
    if args.detached {
        // Fails only for the leader of a process group, which is apart already.
        let _ = rustix::process::setsid();
    }
    let home = context.home()?;
    home.prepare()?;
    let flags = Layer { listen: args.listen.map(Some), ..Layer::default() };
    let settings = Settings::load(&home, None, |name| std::env::var_os(name), flags)?;
    context.hooks.serve(ServeOptions { home, settings, background: args.detached })?;
    Ok(0)
}

fn background(args: &ServeArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let arguments = args.listen.map(|address| vec![format!("--listen={address}")]);
    let plane = context.control_plane_with(arguments.unwrap_or_default())?;
    let status = context.wait(async {
        plane.ensure().await?;
        Ok(plane.call::<SystemStatus>(&Nothing {}).await?)
    })?;
    let listens: Option<SocketAddr> = status.listen.as_deref().and_then(|a| a.parse().ok());
    // Port 0 asks for any.
    let satisfies = |asked: SocketAddr| {
        listens.is_some_and(|l| l == asked || asked.port() == 0 && l.ip() == asked.ip())
    };
    if args.listen.is_some_and(|asked| !satisfies(asked)) {
        let listens = status.listen.map_or("nowhere".to_owned(), |address| format!("at {address}"));
        let detail = format!("a control plane runs already, and listens {listens} over TCP");
        let problem = Problem::new("control_plane.running", ExitCode::Conflict, detail);
        return Err(problem.hint("stop it first: atelier stop").into());
    }
    print(format!("the control plane serves as process {}\n", status.pid))?;
    Ok(0)
}
