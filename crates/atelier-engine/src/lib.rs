//! Container engines through the API that Docker and Podman share: networks, containers, volumes,
//! events. Compose projects are run through Compose itself ([`Run`]).
//!
//! What must not live here: what an environment is, and what a Compose file means.

mod attached;
mod connect;
mod containers;
mod contents;
mod error;
mod events;
mod exec;
mod images;
mod logs;
mod networks;
mod tool;
mod top;
mod volumes;

pub use attached::{
    CommandControl, CommandInput, CommandOutput, From as CommandStream, NewCommand,
};
pub use connect::{Engine, Kind, Surroundings};
pub use containers::{Container, Health, State};
pub use contents::{Contents, Holder};
pub use error::EngineError;
pub use events::Happening;
pub use exec::Finished;
pub use logs::{Lines, Piece};
pub use networks::{Network, NewNetwork, NewSubnet};
pub use tool::Run;
pub use volumes::{NewVolume, Volume};
