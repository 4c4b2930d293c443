//! `atelier env`.

mod apply;
mod create;
mod diff;
mod files;
mod list;
mod recreate;
mod remove;
mod sync;
