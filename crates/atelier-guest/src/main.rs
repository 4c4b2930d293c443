//! The guest's binary: which of its jobs it does is its first argument.

use std::process::ExitCode;

mod epoll;
mod serve_command;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("serve") => serve_command::run(arguments),
        Some("sftp") => {
            atelier_sftp::serve_stdio().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
        }
        #[cfg(feature = "host")]
        Some("launch") => ExitCode::from(atelier_guest::host::launch()),
        #[cfg(feature = "host")]
        Some("outside") => ExitCode::from(atelier_guest::outside::launch()),
        #[cfg(feature = "host")]
        Some("save") => ExitCode::from(atelier_guest::host::save()),
        #[cfg(feature = "machine")]
        Some(_) if atelier_guest::machine::is_init() => {
            ExitCode::from(atelier_guest::machine::init())
        }
        _ => {
            eprintln!("usage: atelier-guest serve --listen unix:PATH|tcp:ADDRESS:PORT|fd:NUMBER");
            ExitCode::from(2)
        }
    }
}
