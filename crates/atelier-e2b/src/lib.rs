//! E2B's control-plane API, spoken in Atelier's operations.
//!
//! Whoever serves gives a [`Door`] for each caller; every call goes through it, so that it is
//! authorised and audited like a call of our own API. Only uploaded files, template builds and
//! remembered idempotency keys are kept here. The in-sandbox daemon's protocol, authentication and
//! the way to ports of sandboxes are not: those are the guest's, the server's and the ingress's.

mod app;
mod builds;
mod door;
mod error;
mod idempotency;
mod paging;
mod request;
mod routes;
mod sandboxes;
mod secrets;
mod snapshots;
mod templates;
mod unserved;
mod uploads;
mod volumes;

pub use app::{E2b, Settings};
pub use door::Door;
pub use error::{E2bError, refusal};
pub use routes::{ROUTES, Route};
pub use volumes::Volumes;
