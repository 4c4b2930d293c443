//! A typed client of the API over a Unix socket or TCP.
//!
//! What lives here is how a call, a session and the events travel, and how the control plane of a
//! home is found, started and replaced; and the way to a sandbox's guest through it. No terminal, no
//! printing, no rule of any part.

mod client;
mod control_plane;
mod endpoint;
mod error;
mod events;
mod inside;
mod request;
mod session;
mod start;

pub use atelier_guest as guest;
pub use client::Client;
pub use control_plane::ControlPlane;
pub use endpoint::Endpoint;
pub use error::ClientError;
pub use events::Events;
pub use session::{Message, Session, SessionReceiver, SessionSender};
pub use start::Starter;
