//! The log of what was refused: a line each on standard error, at a limited rate.

use std::cell::Cell;
use std::fmt::Display;
use std::io::Write;
use std::time::Instant;

/// Lines that may come at once.
const BURST: f64 = 20.0;
/// Lines a second in the long run.
const RATE: f64 = 1.0;

/// A token bucket, and how many lines it held back.
#[derive(Debug, Default)]
pub(super) struct Denials {
    spent: Cell<f64>,
    last: Cell<Option<Instant>>,
    held_back: Cell<u64>,
    all: Cell<u64>,
}

impl Denials {
    /// Notes that `what` (such as `203.0.113.5:443` or a name) was refused.
    pub(super) fn note(&self, what: &dyn Display) {
        self.all.set(self.all.get() + 1);
        if let Some(before) = self.admit(Instant::now()) {
            // Who reads the log may be gone; that is no reason to stop.
            let mut log = std::io::stderr();
            if before > 0 {
                let _ = writeln!(log, "denied {before} more that were not logged");
            }
            let _ = writeln!(log, "denied {what}");
        }
    }

    /// How much was refused, logged or not.
    pub(super) fn count(&self) -> u64 {
        self.all.get()
    }

    /// Whether a line may be written now, with the number of those held back before it.
    fn admit(&self, now: Instant) -> Option<u64> {
        let passed = self.last.replace(Some(now)).map_or(0.0, |t| (now - t).as_secs_f64());
        let spent = (self.spent.get() - passed * RATE).max(0.0);
        if spent + 1.0 > BURST {
            self.spent.set(spent);
            self.held_back.set(self.held_back.get() + 1);
            return None;
        }
        self.spent.set(spent + 1.0);
        Some(self.held_back.take())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_is_cut_to_a_trickle_and_counted() {
        let (denials, now) = (Denials::default(), Instant::now());
        let written = (0..1000).filter(|_| denials.admit(now).is_some()).count();
        assert_eq!(written, 20);
        assert_eq!(denials.admit(now + Duration::from_secs(2)), Some(980));
    }
}
