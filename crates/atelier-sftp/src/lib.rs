//! The SFTP server that runs inside a sandbox.
//!
//! The guest starts itself with the argument `sftp` as the user who logged in, so the kernel
//! decides what they may do, an image needs no `sftp-server` of its own, and modes, times, links
//! and writes at any offset work as on any host. Version 3 of the protocol
//! (draft-ietf-secsh-filexfer-02), which is what every client speaks, with OpenSSH's extensions.
//!
//! `wire.rs` is how messages look, `attributes.rs` what is said of a file, `listing.rs` how
//! folders are listed, `server.rs` which message does what, `files.rs` and `extensions.rs` do it.

mod attributes;
mod extensions;
mod files;
mod listing;
mod server;
mod wire;

use std::io::{self, BufReader, BufWriter, Read, Write};

use server::Server;

/// Serves until the input ends.
///
/// # Errors
/// When the input or the output fails, or when the other end speaks something else.
pub fn serve(input: impl Read, output: impl Write) -> io::Result<()> {
    let mut input = BufReader::with_capacity(wire::LONGEST, input);
    let mut output = BufWriter::with_capacity(wire::LONGEST, output);
    let mut server = Server::default();
    let mut message = Vec::new();
    while wire::read_message(&mut input, &mut message)? {
        let reply = server.answer(&message)?;
        output.write_all(&reply)?;
        // Clients send many requests at once: answers to those go out together.
        if input.buffer().is_empty() {
            output.flush()?;
        }
    }
    output.flush()
}

/// Serves on this process's standard input and output: what `atelier-guest sftp` does.
///
/// # Errors
/// As [`serve`].
pub fn serve_stdio() -> io::Result<()> {
    let served = serve(io::stdin().lock(), io::stdout().lock());
    // Whoever asked went away in the middle: nobody is left to be told.
    match served {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
