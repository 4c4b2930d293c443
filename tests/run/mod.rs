//! `atelier run`.

mod confinement;
mod credentials;
mod detached;
mod lifecycle;
mod limits;
mod network;
mod ordinary_user;
mod streams;
mod terminal;
