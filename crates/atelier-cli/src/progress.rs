//! Work that takes long: a terminal sees that it goes on.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

/// What turns.
const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
/// How often it turns.
const TURN: Duration = Duration::from_millis(100);
/// What is done sooner needs no sign.
const SOON: Duration = Duration::from_millis(300);

/// Waits for work; at a terminal, standard error shows for how long it goes on already.
pub(crate) async fn working<T>(what: &str, work: impl Future<Output = T>) -> T {
    if !io::stderr().is_terminal() {
        return work.await;
    }
    let begin = Instant::now();
    let mut turns = interval(TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = 0;
    let mut work = std::pin::pin!(work);
    let done = loop {
        tokio::select! {
            biased;
            done = &mut work => break done,
            _ = turns.tick() => {
                if begin.elapsed() >= SOON {
                    let frame = FRAMES[shown % FRAMES.len()];
                    let _ = write!(io::stderr(), "\r{frame} {what} … {}s", begin.elapsed().as_secs());
                    shown += 1;
                }
            }
        }
    };
    if shown > 0 {
        // To the line's beginning, and all of it away (ECMA-48, EL).
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    done
}
