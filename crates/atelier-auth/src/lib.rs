//! Who may do what, and who did: callers, tokens, policy and the audit log.

mod audit;
mod caller;
mod key;
mod scope;
mod tokens;

pub use audit::{Audit, Entry};
pub use caller::{Caller, Denied};
pub use key::LocalKey;
pub use tokens::{TokenError, Tokens};
