//! Types of Atelier's API: operations, sessions, problems, names, exit codes.
//!
//! What lives here is what both sides of the wire must agree on, and what problems' hints are made
//! with. No behaviour of any part, no I/O, no terminal.

mod devices;
pub mod env;
mod exit;
pub mod far;
pub mod gc;
pub mod hostname;
pub mod image;
pub mod inside;
mod name;
mod nearest;
mod operation;
mod path;
mod policy;
mod problem;
pub mod sandbox;
pub mod secret;
pub mod seed;
pub mod service;
pub mod session;
pub mod system;
pub mod table;
pub mod token;
pub mod volume;

pub use env::{EnvOptions, Environment};
pub use exit::ExitCode;
pub use name::{BadName, MAX_LABEL, Name};
pub use nearest::nearest;
pub use operation::{Effect, Method, Operation};
pub use path::HostPath;
pub use problem::{Fault, Problem};

/// The root of the API's paths.
pub const API_ROOT: &str = "/api/v1";
