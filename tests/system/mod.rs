//! The control plane itself, and what surrounds it.

mod control_plane;
mod gc;
mod help;
mod settings;
