//! How fast this host's time-stamp counter runs.
//!
//! A kernel that is not told measures it against a timer that an emulated machine's monitor has to
//! keep up; on a busy host that fails, and the kernel hangs. A wrong value makes the machine's time
//! run at a wrong speed, so it is measured, not looked up.

use std::sync::OnceLock;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Long enough for an error of a few millionths.
const INTERVAL: Duration = Duration::from_millis(40);
/// The counter is read between two readings of the clock; the closest pair of several is taken.
const READINGS: usize = 16;

/// The counter's speed in kHz, measured once for each process. None on processors without one.
pub fn tsc_khz() -> Option<u64> {
    static KHZ: OnceLock<Option<u64>> = OnceLock::new();
    *KHZ.get_or_init(measure)
}

/// What to tell a kernel: the counter's speed and, when its tick is known, loops for each tick.
pub fn kernel_words(hz: Option<u32>) -> Option<String> {
    let khz = tsc_khz()?;
    let lpj = hz.map_or_else(String::new, |hz| format!(" lpj={}", khz * 1000 / u64::from(hz)));
    Some(format!("tsc_early_khz={khz}{lpj}"))
}

fn measure() -> Option<u64> {
    let (counter, time) = reading()?;
    std::thread::sleep(INTERVAL);
    let (counter_then, time_then) = reading()?;
    let nanoseconds = u128::from(time_then.checked_sub(time)?);
    let ticks = u128::from(counter_then.checked_sub(counter)?);
    u64::try_from(ticks * 1_000_000 / nanoseconds.max(1)).ok().filter(|khz| *khz > 0)
}

/// The counter and the clock at one moment, in ticks and nanoseconds.
fn reading() -> Option<(u64, u64)> {
    (0..READINGS)
        .filter_map(|_| {
            let (before, counter, after) = (nanoseconds()?, counter()?, nanoseconds()?);
            Some((after - before, counter, before + (after - before) / 2))
        })
        .min()
        .map(|(_, counter, time)| (counter, time))
}

fn nanoseconds() -> Option<u64> {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC_RAW).ok()?;
    u64::try_from(Duration::from(time).as_nanos()).ok()
}

#[cfg(target_arch = "x86_64")]
#[allow(clippy::unnecessary_wraps, reason = "other processors have none")]
fn counter() -> Option<u64> {
    // SAFETY: every 64-bit x86 processor has this instruction, and Linux lets programs use it.
    Some(unsafe { std::arch::x86_64::_rdtsc() })
}

#[cfg(not(target_arch = "x86_64"))]
fn counter() -> Option<u64> {
    None
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn two_measurements_agree() {
        let (first, second) = (measure().unwrap(), measure().unwrap());
        assert!(first.abs_diff(second) * 1000 < first, "{first} and {second} kHz");
        assert!(first > 100_000, "{first} kHz");
    }

    #[test]
    fn a_kernel_with_a_known_tick_is_told_its_loops() {
        let khz = tsc_khz().unwrap();
        let words = kernel_words(Some(250)).unwrap();
        assert_eq!(words, format!("tsc_early_khz={khz} lpj={}", khz * 4));
    }
}
