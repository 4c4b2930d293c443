//! A command in an environment, seen from here: what the terminal, the pipes and the signals of
//! this process have to do with it. The protocol is in `atelier-client`.

mod drive;
mod input;
mod leg;
mod output;
mod signals;
mod terminal;

pub(crate) use drive::{Manner, drive};
pub(crate) use terminal::{Terminals, size};
