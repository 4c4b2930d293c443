//! The control plane's door: one dispatch over one table of operations.
//!
//! No rules of its own: what an operation does is in the parts, who may call it is in
//! `atelier-auth`. Here is how calls come in and how answers go out.

mod app;
mod dispatch;
mod doctor;
mod door;
mod events;
mod far;
mod foreign;
mod fronts;
mod guests;
mod http;
mod input;
mod listen;
mod listeners;
mod memory;
mod metrics;
mod names;
mod openapi;
mod peer;
mod serve;
mod session;
mod shells;
mod signed;
mod table;
mod upstreams;

pub use atelier_run::{ServiceSettings, Surroundings};
pub use atelier_sandbox::FleetDefaults;
pub use doctor::{offline, repair};
pub use listeners::{Addresses, Certificate, local_ca};
pub use memory::one_heap;
pub use openapi::document as openapi;
pub use serve::{ServeOptions, serve};
