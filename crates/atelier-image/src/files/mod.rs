//! Trees on the disk: copies of them, and the marks of overlay layers. Nothing here knows what an
//! image is.

pub(crate) mod copy;
pub(crate) mod copy_one;
pub(crate) mod marks;
