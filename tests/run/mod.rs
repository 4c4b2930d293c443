//! `atelier run`.

mod confinement;
mod credentials;
mod lifecycle;
mod limits;
mod network;
mod streams;
mod terminal;
