//! The moments between two changes of the system, so that tests can stop at each of them as an
//! ended process would. Nothing happens here outside tests.

use crate::error::Result;

/// A moment at which everything may end.
#[cfg(not(test))]
#[inline]
#[allow(clippy::unnecessary_wraps)]
pub(super) fn moment() -> Result<()> {
    Ok(())
}

#[cfg(test)]
pub(super) use faulty::{moment, stop_after};

#[cfg(test)]
mod faulty {
    use std::cell::Cell;

    use super::Result;
    use crate::error::Error;

    thread_local! {
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// Lets so many moments of this thread pass; from then on none. `None`: all.
    pub fn stop_after(moments: Option<usize>) {
        LEFT.set(moments);
    }

    pub fn moment() -> Result<()> {
        match LEFT.get() {
            None => Ok(()),
            Some(0) => Err(Error::Options("stopped here".to_owned())),
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
        }
    }
}
