//! `atelier dial`: standard input and output joined with this machine's control plane. It is what runs on
//! a far host for each stream from another machine.

mod news;

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use atelier_api::env::EnvRef;
use atelier_api::service::{EnvUrl, EnvUrlInput};
use atelier_api::system::{Nothing, SystemStatus};
use atelier_api::{ExitCode, Problem};
use clap::{Args, Subcommand};

use crate::args::EnvArg;
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `atelier dial`.
#[derive(Debug, Args)]
pub(crate) struct DialArgs {
    #[command(subcommand)]
    pub to: To,
}

/// What is dialled.
#[derive(Debug, Subcommand)]
pub(crate) enum To {
    /// The control plane, which is started when it is not there
    Control,
    /// The ingress
    Ingress,
    /// A port of a service
    Service {
        #[command(flatten)]
        env: EnvArg,
        /// The service
        service: String,
        /// The port
        port: u16,
    },
    /// Nothing: what services are up is written, a line whenever that changed
    News,
}

/// Joins them until both ends are done.
pub(crate) fn run(args: &DialArgs, context: &Context<'_>) -> Result<u8, Failure> {
    match &args.to {
        To::Control => control(context),
        To::Ingress => ingress(context),
        To::Service { env, service, port } => self::service(env, service, *port, context),
        To::News => news::run(context),
    }
}

fn control(context: &Context<'_>) -> Result<u8, Failure> {
    // The call replaces a control plane of another build, as with any command.
    context.call::<SystemStatus>(&Nothing {})?;
    let socket = context.home()?.socket();
    let stream = connect(&socket).map_err(|e| Failure::of_file("connected to", &socket, &e))?;
    let twin = stream.try_clone().map_err(|e| failed(&e))?;
    join(stream, twin, |stream| stream.shutdown(Shutdown::Write))
}

fn ingress(context: &Context<'_>) -> Result<u8, Failure> {
    let status = context.call::<SystemStatus>(&Nothing {})?;
    let address = status.ingress.and_then(|address| address.parse().ok());
    let absent = || Problem::new("ingress.absent", ExitCode::Configuration, "no ingress is served");
    tcp(address.ok_or_else(absent)?)
}

fn service(env: &EnvArg, service: &str, port: u16, context: &Context<'_>) -> Result<u8, Failure> {
    let EnvRef { env, project } = env.reference(context)?;
    let input = EnvUrlInput { env, project, service: Some(service.to_owned()), port: Some(port) };
    let found = context.call::<EnvUrl>(&input)?;
    // Of the ways that work on this machine the one without names.
    let all = std::iter::once(&found.url).chain(&found.others);
    let mut all =
        all.filter_map(|url| url.trim_start_matches("http://").parse::<SocketAddr>().ok());
    let absent = || {
        let detail = format!("{service} has no address with the port {port}");
        Problem::new("env.no_port", ExitCode::NotFound, detail)
    };
    tcp(all.next().ok_or_else(absent)?)
}

fn tcp(address: SocketAddr) -> Result<u8, Failure> {
    let stream = TcpStream::connect(address).map_err(|e| failed(&e))?;
    let _ = stream.set_nodelay(true);
    let twin = stream.try_clone().map_err(|e| failed(&e))?;
    join(stream, twin, |stream| stream.shutdown(Shutdown::Write))
}

fn failed(error: &io::Error) -> Failure {
    Problem::new("dial.failed", ExitCode::Failed, format!("no stream: {error}")).into()
}

/// Through a descriptor of its folder any path fits into a socket's address.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = File::open(folder)?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&folder);
    UnixStream::connect(Path::new("/proc/self/fd").join(number.to_string()).join(name))
}

/// Copies both ways. It ends with the other side's end, whatever still comes from this one.
fn join<S: Read + Write + Send + 'static>(
    mut from: S,
    mut to: S,
    finish: impl Fn(&S) -> io::Result<()> + Send + 'static,
) -> Result<u8, Failure> {
    // As files, so that nothing waits in a buffer.
    let input = io::stdin().as_fd().try_clone_to_owned().map_err(|e| failed(&e))?;
    let output = io::stdout().as_fd().try_clone_to_owned().map_err(|e| failed(&e))?;
    let send = move || {
        let _ = pass(&mut File::from(input), &mut to);
        let _ = finish(&to);
    };
    std::thread::Builder::new().name("dial".into()).spawn(send).map_err(|e| failed(&e))?;
    // Who reads may have gone; that is the end as well.
    let _ = pass(&mut from, &mut File::from(output));
    Ok(0)
}

/// Copies by hand. `std::io::copy` would let the kernel move the bytes into the pipe, and Linux holds the
/// pipe's lock while it waits for them: sshd at its other end would hang, and with it every stream.
fn pass(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => to.write_all(&buffer[..n])?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
