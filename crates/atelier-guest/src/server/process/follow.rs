//! Sends a process's output to one who follows it.

use std::rc::Rc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::Process;
use super::spool::Follower;
use crate::wire::{
    Code, ConnectError, EventMessage, GapEvent, KeepAlive, ProcessEvent, StartEvent, Stream,
    end_frame, json_frame,
};

/// One stream of events.
pub(super) struct Follow {
    pub(super) process: Rc<Process>,
    pub(super) follower: Follower,
    pub(super) gap: Option<GapEvent>,
    pub(super) keepalive: Duration,
    pub(super) limit: Option<Duration>,
    pub(super) sender: mpsc::Sender<Bytes>,
}

/// Why a stream stops early.
enum Stop {
    /// Nobody reads it any more.
    Gone,
    Failed(ConnectError),
}

impl Follow {
    /// Sends until the process ended, the time is over, or nobody reads any more.
    pub(super) async fn run(mut self) {
        let end = match self.limit {
            None => self.send_all().await,
            Some(limit) => match tokio::time::timeout(limit, self.send_all()).await {
                Ok(end) => end,
                Err(_) => Err(Stop::Failed(ConnectError::new(
                    Code::DeadlineExceeded,
                    format!("the call did not end within {} ms", limit.as_millis()),
                ))),
            },
        };
        let last = match end {
            Ok(()) => end_frame(None),
            Err(Stop::Failed(error)) => end_frame(Some(&error)),
            Err(Stop::Gone) => return,
        };
        // The follower goes first: its process is not to wait for a reader of nothing.
        let Self { sender, follower, .. } = self;
        drop(follower);
        let _ = sender.send(last).await;
    }

    async fn send_all(&mut self) -> Result<(), Stop> {
        let offset = Some(self.follower.offset());
        self.send(ProcessEvent::Start(StartEvent { pid: self.process.pid, offset })).await?;
        if let Some(gap) = self.gap.take() {
            self.send(ProcessEvent::Gap(gap)).await?;
        }
        let spool = self.follower.spool();
        let mut next_keepalive = Instant::now() + self.keepalive;
        let mut buffer = Vec::new();
        loop {
            let fresh = spool.fresh();
            let end = self.process.end.borrow().clone();
            let last = end.as_ref().and_then(|end| end.offset).unwrap_or(u64::MAX);
            if self.follower.offset() < last {
                let permit = self.sender.reserve().await.map_err(|_| Stop::Gone)?;
                let offset = self.follower.offset();
                buffer.clear();
                let read = self.follower.read(&mut buffer).map_err(|error| {
                    Stop::Failed(ConnectError::new(Code::DataLoss, format!("output: {error}")))
                })?;
                if let Some(stream) = read {
                    permit.send(data_frame(stream, offset, &buffer));
                    next_keepalive = Instant::now() + self.keepalive;
                    continue;
                }
            }
            if let Some(end) = end {
                return self.send(ProcessEvent::End(end)).await;
            }
            // What is read at once is big; those who wait are many.
            buffer = Vec::new();
            tokio::select! {
                () = fresh => {}
                () = self.sender.closed() => return Err(Stop::Gone),
                () = sleep_until(next_keepalive) => {
                    self.send(ProcessEvent::Keepalive(KeepAlive {})).await?;
                    next_keepalive = Instant::now() + self.keepalive;
                }
            }
        }
    }

    async fn send(&self, event: ProcessEvent) -> Result<(), Stop> {
        let frame = json_frame(&EventMessage { event })
            .map_err(|error| Stop::Failed(ConnectError::internal(error.to_string())))?;
        self.sender.send(frame).await.map_err(|_| Stop::Gone)
    }
}

/// A data event with its envelope, written by hand: this is where the bytes go through.
fn data_frame(stream: Stream, offset: u64, bytes: &[u8]) -> Bytes {
    let field = match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
        Stream::Pty => "pty",
    };
    let before = format!("{{\"event\":{{\"data\":{{\"{field}\":\"");
    let after = format!("\",\"offset\":\"{offset}\"}}}}}}");
    let encoded = bytes.len().div_ceil(3) * 4;
    let length = before.len() + encoded + after.len();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    frame.put_slice(before.as_bytes());
    let start = frame.len();
    frame.put_bytes(0, encoded);
    // The space was measured for it.
    let _ = STANDARD.encode_slice(bytes, &mut frame[start..]);
    frame.put_slice(after.as_bytes());
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{DataEvent, Decoder};

    #[test]
    fn a_frame_written_by_hand_reads_as_the_message() {
        for text in ["", "a", "ab", "abc"] {
            let mut decoder = Decoder::default();
            decoder.push(&data_frame(Stream::Stderr, 7, text.as_bytes()));
            let frame = decoder.next_frame().unwrap().unwrap();
            assert!(!decoder.is_partial());
            let message: EventMessage = serde_json::from_slice(&frame.message).unwrap();
            let bytes = Bytes::copy_from_slice(text.as_bytes());
            let data = DataEvent { stream: Stream::Stderr, bytes, offset: Some(7) };
            assert_eq!(message.event, ProcessEvent::Data(data));
        }
    }
}
