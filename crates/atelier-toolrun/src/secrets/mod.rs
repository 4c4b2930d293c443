//! Settings of tools: plain ones as text, secret ones sealed with age, both in the home's repository; the
//! key that opens them; what a tool gets in its environment; questions and answers; masking.
//!
//! What must not live here: who is started with them (`lifecycle/`), and commits.

pub mod dotenv;
mod error;
mod import;
mod key;
mod mask;
mod recipients;
mod resolve;
mod secret;
mod setup;
mod store;
mod substitute;

pub use error::{Error, Result};
pub use import::{Imported, import_env};
pub(crate) use key::Closed;
pub use key::{Keys, Recipients, check_recipient};
pub use mask::{MASK, Masker, MaskingWriter};
pub use recipients::{Resealed, closed, reseal};
pub use resolve::{Origin, Purpose, Shown, Value, Variables, resolve};
pub use secret::Secret;
pub use setup::{Answer, Done, Given, Question, answers, apply, questions};
pub use store::{LONGEST, Opened, Settings};
pub use substitute::{ATK_PLUGIN_DIR, TOOL_DIR, references, substitute};
