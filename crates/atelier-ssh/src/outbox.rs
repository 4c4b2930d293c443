//! What goes to a client over one channel: output, and how it ended.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use russh::ChannelWriteHalf;
use russh::server::{Handle, Msg};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::signals;

/// Extended data of the kind that is standard error (RFC 4254, section 5.2).
const STDERR: u32 = 1;

/// How many channels of a connection have output under way. While there is any, the connection
/// must go on: what lets the output continue may stand behind input that nobody reads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Busy(Arc<AtomicUsize>);

impl Busy {
    /// Whether any has.
    pub(crate) fn any(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }

    fn begin(&self) -> Underway {
        self.0.fetch_add(1, Ordering::AcqRel);
        Underway(self.clone())
    }
}

struct Underway(Busy);

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

type Writer = Pin<Box<dyn AsyncWrite + Send>>;

/// The way to a client. Everything waits for the client's window; when the channel is gone,
/// nothing waits any more.
pub(crate) struct Outbox {
    half: ChannelWriteHalf<Msg>,
    handle: Handle,
    out: Writer,
    err: Writer,
    busy: Busy,
    gone: CancellationToken,
}

/// The channel is gone.
#[derive(Debug)]
pub(crate) struct Gone;

impl Outbox {
    pub(crate) fn new(
        half: ChannelWriteHalf<Msg>,
        handle: Handle,
        busy: Busy,
        gone: CancellationToken,
    ) -> Self {
        let (out, err) =
            (Box::pin(half.make_writer()), Box::pin(half.make_writer_ext(Some(STDERR))));
        Self { half, handle, out, err, busy, gone }
    }

    /// Sends output.
    pub(crate) async fn out(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        write(&mut self.out, bytes, &self.busy, &self.gone).await
    }

    /// Sends output of the second kind.
    pub(crate) async fn err(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        write(&mut self.err, bytes, &self.busy, &self.gone).await
    }

    /// Says something of ours to whoever sits at the client.
    pub(crate) async fn say(&mut self, text: &str) -> Result<(), Gone> {
        // Both, so that the next line begins at the left in a terminal too.
        self.err(format!("atelier: {text}\r\n").as_bytes()).await
    }

    /// Says that no more output comes; input goes on.
    pub(crate) async fn end(&mut self) -> Result<(), Gone> {
        self.half.eof().await.map_err(|_| Gone)
    }

    /// Ends the channel with a code.
    pub(crate) async fn exit(self, code: u32) -> Result<(), Gone> {
        self.half.eof().await.map_err(|_| Gone)?;
        self.half.exit_status(code).await.map_err(|_| Gone)?;
        self.close().await
    }

    /// Ends the channel: a signal ended the process.
    pub(crate) async fn killed(self, signal: i32, dumped: bool) -> Result<(), Gone> {
        self.half.eof().await.map_err(|_| Gone)?;
        let (id, name) = (self.half.id(), signals::name(signal));
        let said = self.handle.exit_signal_request(id, name, dumped, String::new(), String::new());
        said.await.map_err(|()| Gone)?;
        self.close().await
    }

    /// Ends the channel.
    pub(crate) async fn close(self) -> Result<(), Gone> {
        self.half.close().await.map_err(|_| Gone)
    }
}

async fn write(
    writer: &mut Writer,
    bytes: &[u8],
    busy: &Busy,
    gone: &CancellationToken,
) -> Result<(), Gone> {
    let _underway = busy.begin();
    tokio::select! {
        biased;
        written = all(writer, bytes) => written.map_err(|_| Gone),
        () = gone.cancelled() => Err(Gone),
    }
}

async fn all(writer: &mut Writer, bytes: &[u8]) -> io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await
}
