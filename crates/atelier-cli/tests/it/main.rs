//! The command line as its users meet it.

mod commands;
mod run;
mod support;
mod terminal;
