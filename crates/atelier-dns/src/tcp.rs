//! Questions and answers over TCP, each with its length before it (RFC 7766).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::answer::{Outcome, Transport};
use crate::server::Desk;

/// Takes connections until the server stops, and not more at once than the options allow.
pub(crate) async fn serve(desk: Arc<Desk>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(desk.options().tcp_limit.max(1)));
    let accept = async {
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let here = desk.clone();
                    desk.tasks.spawn(async move {
                        let _place = place;
                        tokio::select! {
                            () = here.stop.cancelled() => {}
                            // Who breaks off a connection has no use for our opinion of it.
                            _ = converse(&here, stream) => {}
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept DNS connections");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    };
    tokio::select! {
        () = desk.stop.cancelled() => {}
        () = accept => {}
    }
}

/// Answers the questions of one connection in their order, until it ends or is silent for long.
async fn converse(desk: &Desk, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let idle = desk.options().tcp_idle;
    while let Some(message) = timeout(idle, receive(&mut stream)).await?? {
        let reply = match desk.answer(&message, Transport::Tcp) {
            Outcome::Reply(reply) => Some(reply),
            Outcome::Forward => desk.forwarder.ask(&message, Transport::Tcp).await,
            Outcome::Silence => None,
        };
        let Some(reply) = reply else { return Ok(()) };
        timeout(idle, send(&mut stream, &reply)).await??;
    }
    Ok(())
}

/// One message. `None`: the other side has ended.
pub(crate) async fn receive(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u16().await {
        Ok(length) => usize::from(length),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

/// Sends one message, in one segment where it fits.
pub(crate) async fn send(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}
