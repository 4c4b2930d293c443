//! What an environment changed against the snapshot that it was made from: which paths, and as a
//! diff in git's format. Read from the layers; nothing is mounted and nothing is written.

mod compare;
mod ignored;
pub(crate) mod lines;
mod report;
pub(crate) mod side;
mod unified;

pub use report::{Change, Diff, DiffOptions, Status, diff};
pub(crate) use report::{pairs, pairs_between};
