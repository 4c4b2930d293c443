//! Tools: MCP servers, local services and skills, installed once into a home that is a git repository.
//!
//! What lives here: that home and its files (`home/`), git (`git/`), where tools come from (`source/`), the
//! packages that they run, pinned (`packages/`), and the verbs that change what is installed (`verbs/`). Nothing
//! here prints or asks: what a person must agree to is asked through a callback, what happens is told through
//! another, and every verb returns a value.

mod context;
mod error;
mod git;
pub mod home;
mod http;
mod packages;
mod process;
mod source;
pub mod verbs;

pub use context::{Always, Ask, Context, Hooks, Limits, NoHooks, Plan, Progress};
pub use error::{Problem, Result, ToolsError};
pub use home::{Home, Slug};
pub use packages::shim;
pub use process::Cancel;
pub use source::MCP_REGISTRY;
