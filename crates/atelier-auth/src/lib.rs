//! Who may do what, and who did: callers, policy and the audit log.

mod audit;
mod caller;
mod key;

pub use audit::{Audit, Entry};
pub use caller::{Caller, Denied};
pub use key::LocalKey;
