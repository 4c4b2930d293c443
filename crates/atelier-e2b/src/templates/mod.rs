//! `/templates`: asking for builds, listing, aliases, tags, removing. One template of E2B with its
//! tags is a set of ours: `name` for the tag `default`, `name:tag` for another. How one is built
//! is in `builds/`.

pub(crate) mod aliases;
pub(crate) mod catalog;
pub(crate) mod list;
pub(crate) mod names;
pub(crate) mod remove;
pub(crate) mod request;
pub(crate) mod tags;
