//! A built-in SSH server: `ssh SANDBOX@host -p PORT` reaches a sandbox.
//!
//! It knows no sandboxes: whoever runs it says who may come in and where a login leads
//! ([`Doors`]). Commands, terminals and files inside are the guest's; nothing of a session runs on
//! this side.
//!
//! `serve.rs` takes connections, `connection.rs` is one of them, `session.rs` a channel with a
//! process, `forward.rs` a channel to a port. `inbox.rs` holds what a client sent and nobody read.

mod command;
mod connection;
mod doors;
mod environment;
mod error;
mod forward;
mod inbox;
mod keys;
mod outbox;
mod serve;
mod session;
mod signals;

pub use doors::{Doors, Entered, Login};
pub use error::SshError;
pub use keys::{authorized_keys, host_key};
pub use russh::keys::{PrivateKey, PublicKey};
pub use serve::{Settings, serve};
