//! What is going on on one client's connection: shared by the reader of its bytes, its requests, and the
//! task that ends it when nothing does. It holds no bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Pulse {
    born: Instant,
    in_flight: AtomicU32,
    beats: AtomicU32,
    /// Milliseconds from birth, plus one, at which an unfinished head began. Zero: there is none.
    head_since: AtomicU64,
    ambiguous: AtomicBool,
    blind: AtomicBool,
}

impl Pulse {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            born: Instant::now(),
            in_flight: AtomicU32::new(0),
            beats: AtomicU32::new(0),
            head_since: AtomicU64::new(0),
            ambiguous: AtomicBool::new(false),
            blind: AtomicBool::new(false),
        })
    }

    /// How many requests have begun and ended, as a number that changes with each of both. Without a
    /// value while one is under way.
    pub(crate) fn at_rest(&self) -> Option<u32> {
        let beats = self.beats.load(Ordering::Acquire);
        (self.in_flight.load(Ordering::Acquire) == 0).then_some(beats)
    }

    /// A head has begun and is not complete.
    pub(crate) fn head_begins(&self) {
        if self.head_since.load(Ordering::Relaxed) == 0 {
            let now = self.born.elapsed().as_millis();
            self.head_since.store(u64::try_from(now).unwrap_or(0) + 1, Ordering::Relaxed);
        }
    }

    pub(crate) fn head_ends(&self) {
        if self.head_since.load(Ordering::Relaxed) != 0 {
            self.head_since.store(0, Ordering::Relaxed);
        }
    }

    /// How long the client has been sending the head that is not complete.
    pub(crate) fn head_age(&self) -> Option<Duration> {
        let since = self.head_since.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.born.elapsed().saturating_sub(Duration::from_millis(since)))
    }

    /// A request on this connection gave its length in two ways.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.ambiguous.load(Ordering::Relaxed)
    }

    pub(crate) fn set_ambiguous(&self) {
        self.ambiguous.store(true, Ordering::Relaxed);
    }

    /// The bytes are no HTTP any more.
    pub(crate) fn is_blind(&self) -> bool {
        self.blind.load(Ordering::Relaxed)
    }

    pub(crate) fn set_blind(&self) {
        self.blind.store(true, Ordering::Relaxed);
    }
}

/// One request under way, until its answer has ended.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Pulse>);

impl InFlight {
    pub(crate) fn begin(pulse: &Arc<Pulse>) -> Self {
        pulse.in_flight.fetch_add(1, Ordering::AcqRel);
        pulse.beats.fetch_add(1, Ordering::AcqRel);
        Self(pulse.clone())
    }

    /// The connection leaves HTTP with this request.
    pub(crate) fn leaves_http(&self) {
        self.0.set_blind();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.beats.fetch_add(1, Ordering::AcqRel);
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_rests_between_requests_and_no_two_rests_look_alike() {
        let pulse = Pulse::new();
        let before = pulse.at_rest();
        assert!(before.is_some());
        let request = InFlight::begin(&pulse);
        assert_eq!(pulse.at_rest(), None);
        drop(request);
        assert!(pulse.at_rest().is_some_and(|beats| Some(beats) != before));
    }

    #[test]
    fn the_age_of_a_head_counts_from_its_first_byte() {
        let pulse = Pulse::new();
        assert_eq!(pulse.head_age(), None);
        pulse.head_begins();
        assert!(pulse.head_age().is_some());
        pulse.head_ends();
        assert_eq!(pulse.head_age(), None);
    }
}
