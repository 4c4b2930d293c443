//! Container engines through the API that Docker and Podman share: networks, containers, volumes,
//! images, events. Compose projects are run through Compose itself ([`Run`]), or container by container.
//!
//! What must not live here: what an environment is, and what a Compose file means.

mod attached;
mod build;
mod connect;
mod containers;
mod contents;
mod context;
mod create;
mod error;
mod events;
mod exec;
mod ignored;
mod images;
mod logs;
mod networks;
mod podman;
mod tool;
mod top;
mod usage;
mod volumes;

pub use attached::{
    CommandControl, CommandInput, CommandOutput, From as CommandStream, NewCommand,
};
pub use connect::{Engine, Kind, Surroundings};
pub use containers::{Container, Health, State};
pub use contents::{Contents, Holder};
pub use create::NewContainer;
pub use error::EngineError;
pub use events::Happening;
pub use exec::Finished;
pub use logs::{Lines, Piece};
pub use networks::{Network, NewNetwork, NewSubnet};
pub use tool::Run;
pub use usage::Usage;
pub use volumes::{NewVolume, Volume};
