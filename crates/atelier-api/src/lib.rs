//! Types of Atelier's API: operations, problems, names, exit codes.
//!
//! What lives here is what both sides of the wire must agree on. No behaviour of any part, no
//! I/O, no terminal.

mod exit;
mod name;
mod problem;

pub use exit::ExitCode;
pub use name::{BadName, MAX_LABEL, Name};
pub use problem::{Fault, Problem};
