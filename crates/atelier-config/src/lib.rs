//! Settings of Atelier, each with its origin, and the layout of its home folder.
//!
//! What lives here is what the user may set, where from, and in which order it counts. No part's
//! behaviour, and not `atelier.yaml` itself: its values arrive as a [`ProjectLayer`].

pub mod env_vars;
mod error;
mod file;
mod home;
mod layer;
mod prepare;
mod settings;
pub mod units;

pub use error::ConfigError;
pub use home::Home;
pub use layer::{Layer, ProjectLayer};
pub use settings::{Consent, LogFormat, Origin, Reach, Row, Setting, Settings};
