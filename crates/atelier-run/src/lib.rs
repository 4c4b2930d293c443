//! Joins the parts: the steps of `atelier run` and of an environment's life.
//!
//! Parts never import one another; this crate knows projects and their layers on one side,
//! sandboxes on the other, and turns what the first describes into what the second mounts.

mod attach;
mod changes;
mod create;
mod error;
mod events;
mod gc;
mod idle;
mod keep;
mod log;
mod options;
mod recipe;
mod reconcile;
mod record;
mod recreate;
mod remove;
mod resume;
mod run;
mod secrets;
mod services;
mod store;
mod sync;
mod tree;
mod view;
mod workshop;

pub use atelier_engine::Surroundings;
pub use attach::{Attached, Ended, GuestInput, Input, Output};
pub use changes::applied;
pub use events::Hub;
pub use options::Defaults;
pub use reconcile::restore;
pub use services::{
    Following, Front, Lookup, Names, PROBE, ServiceCommand, ServiceInput, ServiceSettings, Written,
};
pub use workshop::{Workshop, probe_machine};
