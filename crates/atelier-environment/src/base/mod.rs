//! Frozen bases: read-only copies of a project that environments put their layers on, one folder
//! for each generation below `<home>/bases/<project>/`:
//!
//! ```text
//! root            the project's path
//! lock            held while a generation is made
//! 00000001/       a generation: tree/, manifest, made (the boot it was made in), synced, users/
//! ref-<hash>/     a clean checkout of a commit
//! .new-*  .old-*  unfinished or half deleted
//! ```
//!
//! A generation is built under a temporary name, renamed when it is whole, and never written
//! again. Whoever uses one holds a shared lock on its folder until its environment is recorded
//! in `users/`.

pub(crate) mod checkout;
pub(crate) mod delta;
pub(crate) mod gc;
pub(crate) mod manifest;
pub(crate) mod store;
