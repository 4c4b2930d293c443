//! One file for each runtime, and what several of them share.

mod criu;
pub(crate) mod firecracker;
pub(crate) mod gvisor;
pub(crate) mod host;
mod launcher;
mod machines;
pub(crate) mod oci;
mod outside;
pub(crate) mod qemu;
