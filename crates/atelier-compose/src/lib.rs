//! Compose projects: found, loaded into Compose's canonical form, and rewritten into one complete
//! file whose names, networks, addresses and volumes belong to one environment.
//!
//! What lives here: where a project's files are, the external Compose tool as a loader, a loader
//! of our own for the common subset, and the rewriting. No engine is spoken to, nothing is
//! written to disk, and of environments it knows what [`Scope`] says.
//!
//! ```no_run
//! use atelier_compose::{Loader, Request, Scope, Tool, find, generate};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let request = Request { folder: "/home/me/shop".into(), ..Request::default() };
//! if find(&request)?.is_some() {
//!     let path = std::env::var_os("PATH").unwrap_or_default();
//!     let loader = Tool::detect(None, &path)?.map_or(Loader::Native, Loader::Tool);
//!     let scope = Scope::new("shop-agent-1", "10.224.7.0/24".parse()?);
//!     let generated = generate(&loader.load(&request)?, &scope)?;
//!     println!("{}", generated.file);
//! }
//! # Ok(())
//! # }
//! ```

mod asks;
mod command;
mod complaint;
pub mod direct;
mod dotenv;
mod error;
mod generate;
mod interpolate;
mod kept;
mod loader;
mod model;
mod native;
mod plan;
mod project;
mod request;
mod scope;
mod shared;
mod subnet;
mod text;
mod tool;

pub use asks::asks;
pub use error::{ComposeError, Result};
pub use generate::generate;
pub use kept::Kept;
pub use loader::Loader;
pub use model::{Model, plain};
pub use plan::{Generated, NetworkPlan, Port, ServicePlan, SharedFile, SharedUse, VolumePlan};
pub use request::{Request, find};
pub use scope::Scope;
pub use shared::shared_file;
pub use subnet::{BadSubnet, SubnetV4, SubnetV6};
pub use tool::Tool;
