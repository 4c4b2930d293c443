//! The life of a tool: its service started and stopped in the right order, asked whether it is well,
//! shown; its MCP server and scripts as programs to execute; its start at login.
//!
//! What must not live here: what is installed (`verbs/`), settings (`secrets/`), saved data (`data/`).
//! Processes are started in `spawn.rs` alone.

mod defaults;
mod engine;
mod environment;
mod error;
mod exec;
mod health;
mod hooks;
mod keep;
mod log;
mod login;
mod logs;
mod operate;
mod order;
mod ports;
mod process;
mod processes;
mod ready;
pub(crate) mod spawn;
mod state;
mod status;
mod tool;

pub use defaults::Verb;
pub(crate) use defaults::quote;
pub(crate) use engine::{block, find as find_engine};
pub use environment::Environment;
pub use error::{Error, Result, Taken};
pub use exec::{Exec, Remote, Server, script, server};
pub(crate) use exec::{find_script, interpreter};
pub use hooks::{ServiceHooks, end_all, healthy, hook, runs};
pub use keep::keep;
pub use log::Tail;
pub use login::{Registered, Starter, register, register_by, starter, unregister};
pub use logs::logs;
pub use operate::{Became, Outcome, Report, restart, start, stop};
pub use order::in_order;
pub(crate) use ready::Ready;
pub(crate) use spawn::Line;
pub use state::State;
pub use status::{PortStatus, Status, status};
pub use tool::{Happening, Kind, Manner, Step, Tool};
