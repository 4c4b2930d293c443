//! Standard input: read by a thread of its own, so that a terminal or a pipe which gives nothing
//! holds up nobody, and kept until the command has it.

use std::collections::VecDeque;

use atelier_api::session::STDIN_WINDOW;
use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::stdio::stdin;
use tokio::sync::mpsc;

use super::keys::Keys;

/// What is read at once, in bytes.
const PIECE: usize = 64 << 10;

/// Standard input on its way to a command, over one connection after another.
#[derive(Debug, Default)]
pub(crate) struct Input {
    pieces: Option<mpsc::Receiver<Bytes>>,
    /// Sent over this connection and not passed on yet, as far as is known.
    kept: VecDeque<Bytes>,
    sent: u64,
    taken: u64,
    /// Whether the server says what it passes on.
    counted: bool,
    ended: bool,
    keys: Option<Keys>,
    left: bool,
}

impl Input {
    /// Begins to read, once.
    pub(crate) fn begin(&mut self) {
        if self.pieces.is_none() && !self.ended {
            let (sender, receiver) = mpsc::channel(1);
            std::thread::spawn(move || read(&sender));
            self.pieces = Some(receiver);
        }
    }

    /// From now on certain keys leave the command.
    pub(crate) fn listen_for(&mut self, keys: Keys) {
        self.keys.get_or_insert(keys);
    }

    /// Whether they were typed.
    pub(crate) const fn has_left(&self) -> bool {
        self.left
    }

    /// Whether all has been read.
    pub(crate) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next piece to send; `None` when there is no more. Waits while the window is full: it
    /// is for the caller to ask again when [`Input::taken`] has been told.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        if self.is_full() || self.ended {
            std::future::pending::<()>().await;
        }
        let mut piece = match &mut self.pieces {
            Some(pieces) => pieces.recv().await,
            None => std::future::pending().await,
        };
        if let (Some(keys), Some(typed)) = (&mut self.keys, &piece) {
            let sifted = keys.sift(typed);
            self.left |= sifted.leave;
            piece = Some(sifted.pass);
        }
        match &piece {
            Some(bytes) => self.keep(bytes),
            None => self.ended = true,
        }
        piece
    }

    /// The server has passed so many bytes on, counted from the connection's start.
    pub(crate) fn taken(&mut self, total: u64) {
        self.counted = true;
        while let Some(first) = self.kept.front_mut() {
            let length = first.len() as u64;
            if self.taken + length <= total {
                self.taken += length;
                self.kept.pop_front();
            } else {
                let part = usize::try_from(total.saturating_sub(self.taken)).unwrap_or(0);
                let _ = first.split_to(part);
                self.taken += part as u64;
                return;
            }
        }
    }

    /// There is a new connection: what has to be sent again over it.
    pub(crate) fn again(&mut self) -> Vec<Bytes> {
        let pieces: Vec<_> = self.kept.iter().cloned().collect();
        self.sent = pieces.iter().map(|piece| piece.len() as u64).sum();
        self.taken = 0;
        pieces
    }

    fn keep(&mut self, bytes: &Bytes) {
        self.sent += bytes.len() as u64;
        if self.counted {
            self.kept.push_back(bytes.clone());
        }
    }

    const fn is_full(&self) -> bool {
        self.counted && self.sent - self.taken + PIECE as u64 > STDIN_WINDOW
    }
}

/// Reads until the end, or until nobody wants more.
fn read(sender: &mpsc::Sender<Bytes>) {
    let mut buffer = vec![0; PIECE];
    loop {
        match rustix::io::read(stdin(), &mut buffer) {
            // A terminal that is gone (EIO) has ended as well.
            Ok(0) => return,
            Ok(n) => {
                if sender.blocking_send(Bytes::copy_from_slice(&buffer[..n])).is_err() {
                    return;
                }
            }
            Err(Errno::INTR) => {}
            // Somebody who shares it has made it non-blocking.
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&stdin(), PollFlags::IN)], None);
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pieces: &[&'static [u8]]) -> Input {
        let (sender, receiver) = mpsc::channel(pieces.len().max(1));
        for piece in pieces {
            sender.try_send(Bytes::from_static(piece)).unwrap();
        }
        Input { pieces: Some(receiver), ..Input::default() }
    }

    #[tokio::test]
    async fn what_was_not_passed_on_is_sent_again() {
        let mut input = with(&[b"one", b"two", b"three"]);
        input.taken(0);
        while input.next().await.is_some() {}
        input.taken(4);
        assert_eq!(input.again(), ["wo", "three"]);
        input.taken(6);
        assert_eq!(input.again(), ["e"]);
        assert!(input.has_ended());
    }

    #[tokio::test]
    async fn a_server_that_does_not_count_gets_everything_once() {
        let mut input = with(&[b"one"]);
        assert_eq!(input.next().await.unwrap(), "one");
        assert!(input.again().is_empty());
    }

    #[tokio::test]
    async fn no_more_is_sent_than_the_window_holds() {
        let piece: &'static [u8] = &[0; PIECE];
        let mut input = with(&[piece; 17]);
        input.taken(0);
        let mut sent = 0;
        while !input.is_full() {
            sent += input.next().await.unwrap().len() as u64;
        }
        assert_eq!(sent, STDIN_WINDOW);
        input.taken(PIECE as u64);
        assert!(!input.is_full());
    }
}
