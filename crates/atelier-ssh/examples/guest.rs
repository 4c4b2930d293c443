//! A guest for trials of the SSH server: `guest unix:PATH HOME` serves, `guest sftp` serves files.
//! It is what `atelier-guest` does inside a sandbox, built with this crate.

use std::io;

use atelier_guest::{Listener, ServeOptions, serve_on};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [sftp] if sftp == "sftp" => atelier_sftp::serve_stdio(),
        [listen, home] => {
            let options = ServeOptions {
                env: vec![("HOME".to_owned(), home.clone())],
                stop_grace: std::time::Duration::from_secs(1),
                ..ServeOptions::default()
            };
            serve_on(Listener::open(listen)?, options)
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "guest LISTEN HOME | guest sftp")),
    }
}
