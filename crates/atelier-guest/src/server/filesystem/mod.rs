//! `filesystem.Filesystem`: entries, folders, moves, watches. Contents are in `files`.

mod entry;
mod folders;
mod inotify;
mod rpc;
mod watch;

pub(super) use rpc::{call, stream};
pub(super) use watch::Watchers;
