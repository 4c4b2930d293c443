//! The binary: the one place that knows everyone. What a command means is elsewhere; here the
//! parts are handed to one another.

mod build;
mod far;
mod logs;
mod reference;
mod system;
mod wiring;

use std::process::ExitCode;

fn main() -> ExitCode {
    atelier_cli::main(&wiring::Wiring)
}
