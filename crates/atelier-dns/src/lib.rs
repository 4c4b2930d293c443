//! The names of environments: an authoritative DNS server for suffixes such as `.test` ([`Server`]
//! over a [`Zone`]), and the hook that makes this machine's resolver ask it ([`hook`]).
//!
//! It knows names and addresses, no environments and no engines: whoever uses it says which
//! owner has which records.
//!
//! ```no_run
//! # async fn example() -> atelier_dns::Result<()> {
//! use atelier_dns::{Options, Record, Server, Zone};
//!
//! let zone = Zone::new(["test"])?;
//! let options = Options { listen: vec!["127.0.0.1:5354".parse().unwrap()], ..Options::default() };
//! let server = Server::start(zone.clone(), options).await?;
//! let address = "10.201.0.3".parse().unwrap();
//! zone.set("shop/agent-1", vec![Record::new("api.agent-1.test", [address])])?;
//! server.stop().await;
//! # Ok(())
//! # }
//! ```

mod answer;
mod edns;
mod error;
mod forward;
pub mod hook;
mod message;
mod name;
mod options;
mod reverse;
mod server;
mod tables;
mod tcp;
mod udp;
mod zone;

pub use error::{Error, Result};
pub use options::Options;
pub use reverse::Range;
pub use server::Server;
pub use zone::{Record, Snapshot, Zone};
