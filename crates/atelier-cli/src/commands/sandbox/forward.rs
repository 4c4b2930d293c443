//! `atelier sandbox forward`: a port of this machine that leads into a sandbox.

use std::net::Ipv4Addr;

use atelier_api::{ExitCode, Problem};
use atelier_client::guest::client::Guest;
use clap::Args;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::args::SandboxArg;
use super::exec::inside;
use crate::context::Context;
use crate::failure::Failure;
use crate::inside::{catch, signalled};
use crate::output::{note, print};

/// Bytes that are on their way in each direction.
const BUFFER: usize = 64 << 10;

/// Arguments of `atelier sandbox forward`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    atelier sandbox forward dev 8080            127.0.0.1:8080 here is port 8080 inside\n  \
    atelier sandbox forward dev 9000:80 0:5432  0 takes a port that is free\n\n\
    Goes on until it is interrupted.")]
pub(crate) struct ForwardArgs {
    #[command(flatten)]
    pub sandbox: SandboxArg,
    /// The port inside, with the one here before it when that is another
    #[arg(value_name = "[LOCAL:]PORT", required = true, value_parser = ports)]
    pub ports: Vec<(u16, u16)>,
}

fn ports(text: &str) -> Result<(u16, u16), String> {
    let port = |text: &str| text.parse::<u16>().map_err(|_| format!("{text:?} is no port"));
    let (local, inside) = text.split_once(':').unwrap_or((text, text));
    let (local, inside) = (port(local)?, port(inside)?);
    if inside == 0 { Err("port 0 cannot be reached inside".into()) } else { Ok((local, inside)) }
}

/// Forwards until a signal comes.
pub(crate) fn run(args: &ForwardArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let plane = context.control_plane()?;
    let inside = inside(&plane, &args.sandbox, None);
    context.wait(async {
        let mut signals = catch(false)?;
        let guest = inside.guest().await?;
        let mut serving = JoinSet::new();
        for (local, port) in &args.ports {
            let listener = listen(*local).await?;
            let address = listener.local_addr()?;
            print(format!("{address} leads to port {port} of {}\n", args.sandbox.sandbox))?;
            serving.spawn(serve(listener, guest.clone(), *port));
        }
        Ok(signalled(signals.next_ending().await))
    })
}

async fn listen(port: u16) -> Result<TcpListener, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| {
        let exit = match error.kind() {
            std::io::ErrorKind::AddrInUse => ExitCode::PortInUse,
            std::io::ErrorKind::PermissionDenied => ExitCode::NotPermitted,
            _ => ExitCode::Failed,
        };
        let detail = format!("port {port} of this machine cannot be listened on: {error}");
        Problem::new("forward.failed", exit, detail)
            .hint("name another one before the port inside, such as 18080:8080")
            .into()
    })
}

async fn serve(listener: TcpListener, guest: Guest, port: u16) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(pass(stream, guest.clone(), port));
            }
            // This process has too many files open, or the caller is gone again.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

async fn pass(mut outside: TcpStream, guest: Guest, port: u16) {
    // A delay that only saves packets helps nobody on one machine.
    let _ = outside.set_nodelay(true);
    match guest.tunnel(port).await {
        Ok(mut inside) => {
            // Either end may go at any time; there is nobody else to tell.
            let _ = copy_bidirectional_with_sizes(&mut outside, &mut inside, BUFFER, BUFFER).await;
        }
        Err(error) => note(&format!("port {port}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_may_have_another_number_here() {
        assert_eq!(ports("8080"), Ok((8080, 8080)));
        assert_eq!(ports("9000:80"), Ok((9000, 80)));
        assert_eq!(ports("0:80"), Ok((0, 80)));
        for bad in ["", "0", "80:0", "x:80", "80:", ":80", "70000", "1:2:3"] {
            assert!(ports(bad).is_err(), "{bad}");
        }
    }
}
