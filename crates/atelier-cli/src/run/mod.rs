//! A command in an environment, seen from here: what the terminal, the pipes and the signals of
//! this process have to do with it. The protocol is in `atelier-client`. Commands in sandboxes, in
//! `inside/`, use the same terminal, pipes and signals.

mod drive;
mod input;
mod keys;
mod leg;
mod output;
mod signals;
mod terminal;

pub(crate) use drive::{Manner, Task, drive};
pub(crate) use input::Input;
pub(crate) use keys::Keys;
pub(crate) use output::Output;
pub(crate) use signals::{Number, Signals, is_ending};
pub(crate) use terminal::{RawMode, Terminals, size};
