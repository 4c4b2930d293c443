//! Signals that this process gets while a command runs elsewhere.

use std::io;
use std::task::Poll;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// A signal to be dealt with, by its Linux number.
pub(crate) type Number = i32;

/// The signals that end a program, or that a command may want to hear of.
const ENDING: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];
/// Those that people send to programs for other reasons; only passed on.
const MESSAGES: [Signal; 2] = [Signal::USR1, Signal::USR2];
/// With a terminal: its size, and being stopped and continued.
const OF_TERMINALS: [Signal; 3] = [Signal::WINCH, Signal::TSTP, Signal::CONT];

/// The signals as they come.
#[derive(Debug)]
pub(crate) struct Signals(Vec<(Number, tokio::signal::unix::Signal)>);

impl Signals {
    /// Begins to catch them. What the caller ignores (as `nohup` does) stays ignored.
    pub(crate) fn catch(terminal: bool) -> io::Result<Self> {
        let others: &[Signal] = if terminal { &OF_TERMINALS } else { &MESSAGES };
        let wanted = ENDING.iter().chain(others).map(|s| s.as_raw());
        let caught = wanted
            .filter(|number| !is_ignored(*number))
            .map(|number| Ok((number, signal(SignalKind::from_raw(number))?)));
        caught.collect::<io::Result<_>>().map(Self)
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Number {
        std::future::poll_fn(|context| {
            for (number, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready(*number);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// The next one that ends a program.
    pub(crate) async fn next_ending(&mut self) -> Number {
        loop {
            let number = self.next().await;
            if is_ending(number) {
                return number;
            }
        }
    }
}

/// Whether a signal asks a program to end.
pub(crate) fn is_ending(number: Number) -> bool {
    ENDING.iter().any(|signal| signal.as_raw() == number)
}

fn is_ignored(number: Number) -> bool {
    let mut old = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call only writes to `old`, which is large enough for it
    // and, zeroed, valid even when the call fails.
    let old = unsafe {
        libc::sigaction(number, std::ptr::null(), old.as_mut_ptr());
        old.assume_init()
    };
    old.sa_sigaction == libc::SIG_IGN
}
