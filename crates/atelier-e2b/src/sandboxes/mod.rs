//! `/sandboxes`: create, find, connect, end, and what belongs to one sandbox. How a sandbox is
//! shown is in `view.rs`; nothing is kept here.

pub(crate) mod connect;
pub(crate) mod create;
pub(crate) mod fork;
pub(crate) mod life;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod network;
pub(crate) mod show;
pub(crate) mod view;

pub(crate) use show::{find, is_of_a_build};
