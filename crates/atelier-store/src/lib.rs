//! State of Atelier: the database pool, its migrations and the job journal.
//!
//! The database is what we intended; the running world is the truth. Tables of a part are read and
//! written in that part's `store.rs`; here is only what every part shares.

mod error;
mod journal;
mod open;

pub use error::StoreError;
pub use journal::{Job, JobRow, Journal};
pub use open::{Store, quarantine};
