//! One file for each runtime.

pub(crate) mod host;
