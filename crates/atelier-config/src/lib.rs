//! Settings of Atelier, each with its origin, and the layout of its home folder.

mod home;

pub use home::Home;
