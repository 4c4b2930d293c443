//! Output of the command on its way to ours: written by a thread of its own, so that a reader who
//! takes his time holds up the output and nothing else.

use std::io::{self, Write};

use atelier_api::session::Stream;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::failure::Failure;

/// How many pieces wait at most. The rest waits in the environment.
const WAITING: usize = 8;

/// The way out.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pieces: Option<mpsc::Sender<(Stream, Bytes)>>,
    ended: Option<oneshot::Receiver<io::Result<()>>>,
}

impl Output {
    /// Hands bytes on; waits while too many wait already. Fails when nobody reads them.
    pub(crate) async fn write(&mut self, stream: Stream, bytes: Bytes) -> Result<(), Failure> {
        let pieces = match &self.pieces {
            Some(pieces) => pieces,
            None => self.begin(),
        };
        if pieces.send((stream, bytes)).await.is_ok() {
            return Ok(());
        }
        // The thread has given up; it says why.
        self.finish().await?;
        Err(Failure::BrokenPipe)
    }

    /// Waits until all is written.
    pub(crate) async fn finish(&mut self) -> Result<(), Failure> {
        self.pieces = None;
        match self.ended.take() {
            Some(ended) => Ok(ended.await.unwrap_or(Ok(()))?),
            None => Ok(()),
        }
    }

    fn begin(&mut self) -> &mpsc::Sender<(Stream, Bytes)> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let (done, ended) = oneshot::channel();
        std::thread::spawn(move || {
            let _ = done.send(write_all(receiver));
        });
        self.ended = Some(ended);
        self.pieces.insert(sender)
    }
}

fn write_all(mut pieces: mpsc::Receiver<(Stream, Bytes)>) -> io::Result<()> {
    while let Some((stream, bytes)) = pieces.blocking_recv() {
        match stream {
            // Nobody can be told that standard error is gone, and the output is what counts.
            Stream::Stderr => {
                let _ = io::stderr().write_all(&bytes);
            }
            // Past the library's line buffer: these bytes are no lines of ours.
            Stream::Stdout | Stream::Terminal => write_stdout(&bytes)?,
        }
    }
    Ok(())
}

fn write_stdout(mut bytes: &[u8]) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;
    let out = rustix::stdio::stdout();
    while !bytes.is_empty() {
        match rustix::io::write(out, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            // Somebody who shares it has made it non-blocking.
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::new(&out, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
