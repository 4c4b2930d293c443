//! `atelier dial`: standard input and output joined with this machine's control plane. It is what runs on
//! a far host for each stream from another machine.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use atelier_api::system::{Nothing, SystemStatus};
use atelier_api::{ExitCode, Problem};
use clap::{Args, Subcommand};

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
}

/// Joins them until both ends are done.
pub(crate) fn run(args: &DialArgs, context: &Context<'_>) -> Result<u8, Failure> {
    match args.to {
        To::Control => control(context),
    }
}

fn control(context: &Context<'_>) -> Result<u8, Failure> {
    // The call replaces a control plane of another build, as with any command.
    context.call::<SystemStatus>(&Nothing {})?;
    let socket = context.home()?.socket();
    let stream = connect(&socket).map_err(|e| Failure::of_file("connected to", &socket, &e))?;
    join(stream)
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
fn join(stream: UnixStream) -> Result<u8, Failure> {
    let failed = |e: io::Error| {
        Failure::from(Problem::new("dial.failed", ExitCode::Failed, format!("no stream: {e}")))
    };
    // As files, so that nothing waits in a buffer.
    let input = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
    let output = io::stdout().as_fd().try_clone_to_owned().map_err(failed)?;
    let mut to = stream.try_clone().map_err(failed)?;
    let send = move || {
        let _ = pass(&mut File::from(input), &mut to);
        let _ = to.shutdown(Shutdown::Write);
    };
    std::thread::Builder::new().name("dial".into()).spawn(send).map_err(failed)?;
    let mut stream = stream;
    // Who reads may have gone; that is the end as well.
    let _ = pass(&mut stream, &mut File::from(output));
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
