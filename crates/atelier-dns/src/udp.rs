//! Questions and answers as datagrams.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;

use crate::answer::{Outcome, Transport};
use crate::server::Desk;

/// No question is longer: names, and some options of EDNS.
const LONGEST_QUESTION: usize = 4096;
/// How many are answered before others of the same runtime get their turn.
const AT_ONCE: usize = 32;

/// Answers until the server stops. One task answers all: a reply is made in microseconds, without
/// waiting for anything.
pub(crate) async fn serve(desk: Arc<Desk>, socket: Arc<UdpSocket>) {
    let mut buffer = vec![0; LONGEST_QUESTION];
    loop {
        tokio::select! {
            biased;
            () = desk.stop.cancelled() => return,
            ready = socket.readable() => {
                if let Err(error) = ready {
                    pause(&error).await;
                }
            }
        }
        for _ in 0..AT_ONCE {
            match socket.try_recv_from(&mut buffer) {
                Ok((length, asker)) => {
                    let message = buffer.get(..length).unwrap_or_default();
                    handle(&desk, &socket, message, asker).await;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    pause(&error).await;
                    break;
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

async fn handle(desk: &Arc<Desk>, socket: &Arc<UdpSocket>, message: &[u8], asker: SocketAddr) {
    match desk.answer(message, Transport::Udp) {
        Outcome::Reply(reply) => send(socket, &reply, asker).await,
        Outcome::Forward => {
            let (here, socket, message) = (desk.clone(), socket.clone(), message.to_vec());
            desk.tasks.spawn(async move {
                let reply = tokio::select! {
                    () = here.stop.cancelled() => return,
                    reply = here.forwarder.ask(&message, Transport::Udp) => reply,
                };
                if let Some(reply) = reply {
                    send(&socket, &reply, asker).await;
                }
            });
        }
        Outcome::Silence => {}
    }
}

/// An answer that can't be sent is lost, as any datagram may be: the asker asks again.
async fn send(socket: &UdpSocket, reply: &[u8], asker: SocketAddr) {
    let sent = match socket.try_send_to(reply, asker) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            socket.send_to(reply, asker).await
        }
        sent => sent,
    };
    if let Err(error) = sent {
        tracing::debug!(%asker, %error, "a DNS answer could not be sent");
    }
}

/// An error that stays would otherwise take a whole processor.
async fn pause(error: &io::Error) {
    tracing::warn!(%error, "cannot receive DNS questions");
    tokio::time::sleep(Duration::from_millis(20)).await;
}
