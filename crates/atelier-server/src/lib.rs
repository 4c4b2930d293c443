//! The control plane's door: one dispatch over one table of operations.
