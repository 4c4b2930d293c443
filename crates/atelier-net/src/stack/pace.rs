//! How fast a link may be: for each direction a bucket that takes what a second brings, and is full again
//! after a second.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// What a bucket holds, in time.
const BURST: Duration = Duration::from_secs(1);

/// One direction.
#[derive(Debug)]
pub(super) struct Pace {
    /// Bytes in a second.
    rate: u64,
    /// When all that has passed would have passed at this rate.
    paid: Cell<Instant>,
}

impl Pace {
    /// A full bucket.
    pub(super) fn new(rate: u64) -> Self {
        let now = Instant::now();
        Self { rate: rate.max(1), paid: Cell::new(now.checked_sub(BURST).unwrap_or(now)) }
    }

    /// Whether something may pass now.
    pub(super) fn is_ready(&self) -> bool {
        self.paid.get() <= Instant::now()
    }

    /// Waits until something may pass.
    pub(super) async fn ready(&self) {
        while !self.is_ready() {
            tokio::time::sleep_until(self.paid.get()).await;
        }
    }

    /// Notes what has passed. A packet is never cut: the next one waits for it.
    pub(super) fn passed(&self, bytes: usize) {
        let nanos = u128::from(bytes as u64) * 1_000_000_000 / u128::from(self.rate);
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let now = Instant::now();
        let full = now.checked_sub(BURST).unwrap_or(now);
        self.paid.set(self.paid.get().max(full) + takes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_passes_at_once_and_the_rest_at_its_rate() {
        tokio::time::advance(10 * BURST).await;
        let (pace, start) = (Pace::new(1000), Instant::now());
        for _ in 0..50 {
            pace.ready().await;
            pace.passed(100);
        }
        // 5000 bytes: the first thousand is there, and the last packet need not be waited for.
        let took = start.elapsed();
        assert!((3900..=4000).contains(&took.as_millis()), "{took:?}");
        tokio::time::advance(10 * BURST).await;
        let start = Instant::now();
        for _ in 0..11 {
            pace.ready().await;
            pace.passed(100);
        }
        assert!(start.elapsed() < Duration::from_millis(10), "no more than a second is saved up");
        assert!(!pace.is_ready());
    }
}
