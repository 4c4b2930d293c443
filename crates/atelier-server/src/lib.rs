//! The control plane's door: one dispatch over one table of operations.
//!
//! No rules of its own: what an operation does is in the parts, who may call it is in
//! `atelier-auth`. Here is how calls come in and how answers go out.

mod app;
mod dispatch;
mod doctor;
mod door;
mod events;
mod http;
mod ingress;
mod input;
mod listen;
mod memory;
mod openapi;
mod peer;
mod serve;
mod session;
mod table;

pub use doctor::{offline, repair};
pub use memory::one_heap;
pub use openapi::document as openapi;
pub use serve::{ServeOptions, serve};
