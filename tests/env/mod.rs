//! `atelier env`.

mod apply;
mod diff;
mod list;
mod remove;
