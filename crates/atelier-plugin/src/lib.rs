//! What a tool says of itself: `plugin.yaml` of every schema of ATK and of Atelier's own, the
//! user's overrides of it, and the index of a registry. Reading and checking alone: nothing here
//! runs, fetches or writes anything.

mod error;
mod finding;
mod load;
mod model;
mod overrides;
mod read;
mod registry;
mod schema;
mod slug;
mod span;

pub use error::PluginError;
pub use finding::Finding;
pub use load::{FILES, OVERRIDES, Source};
pub use model::{
    Ask, Data, Dump, Format, Health, Lifecycle, Maturity, Mcp, Package, Plugin, Port, Restart,
    Sandbox, Service, ServiceKind, Transport, Variable, Vendor,
};
pub use registry::{Entry, Index};
pub use schema::json_schema;
pub use slug::{BadSlug, Slug};
pub use span::parse as parse_span;

/// The schema that Atelier adds to ATK's.
pub const SCHEMA: &str = "atelier/1";
