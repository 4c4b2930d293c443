//! Container engines through the API that Docker and Podman share: networks, containers, volumes,
//! events. Compose projects are run through Compose itself ([`Run`]).
//!
//! What must not live here: what an environment is, and what a Compose file means.

mod connect;
mod containers;
mod error;
mod events;
mod images;
mod logs;
mod networks;
mod tool;
mod volumes;

pub use connect::{Engine, Kind, Surroundings};
pub use containers::{Container, Health, State};
pub use error::EngineError;
pub use events::Happening;
pub use logs::{Lines, Piece};
pub use networks::{Network, NewNetwork, NewSubnet};
pub use tool::Run;
pub use volumes::Volume;
