//! What happens in a sandbox, seen from here: commands, terminals, copies. The protocol is the
//! guest's, which is reached through the control plane.

mod command;
pub(crate) mod copy;
mod drive;

pub(crate) use command::{Command, login_shell};
pub(crate) use drive::{Inside, Way, catch, drive, signalled};
