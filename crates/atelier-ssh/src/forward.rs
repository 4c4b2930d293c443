//! A channel to a port of the sandbox: what `ssh -L` and `ssh -D` open.

use atelier_api::{Fault, Problem};
use atelier_guest::client::Tunnel;
use russh::ChannelOpenFailure;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio_util::sync::CancellationToken;

use crate::doors::{Doors, Entered, Login};
use crate::inbox::Inbox;
use crate::outbox::{Gone, Outbox};

/// Bytes that are read at once.
const BLOCK: usize = 64 << 10;
/// The reason of a refusal (RFC 4254, section 5.1), which goes with words of our own.
const CONNECT_FAILED: u32 = 2;

/// The port that is meant, if it is one of the sandbox itself: what lies beyond it is for the
/// sandbox's own network policy, which connections through here would go around.
pub(crate) fn own_port(host: &str, port: u32) -> Option<u16> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let own = match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback() || address.is_unspecified(),
        Err(_) => ["localhost", "ip6-localhost"].iter().any(|own| host.eq_ignore_ascii_case(own)),
    };
    u16::try_from(port).ok().filter(|port| own && *port > 0)
}

/// Opens the port.
///
/// # Errors
/// What the client is told.
pub(crate) async fn open(
    doors: &dyn Doors,
    login: &Login,
    port: u16,
) -> Result<(Entered, Tunnel), ChannelOpenFailure> {
    let entered = doors.enter(login).await.map_err(failure)?;
    let tunnel = entered.guest.tunnel(port).await.map_err(|error| failure(error.problem()))?;
    Ok((entered, tunnel))
}

fn failure(problem: Problem) -> ChannelOpenFailure {
    ChannelOpenFailure::Other { code: CONNECT_FAILED, reason: problem.detail }
}

/// Passes bytes on until both sides ended or one is gone.
pub(crate) async fn pass(
    tunnel: Tunnel,
    inbox: Inbox,
    mut outbox: Outbox,
    gone: CancellationToken,
) {
    let (from, to) = tokio::io::split(tunnel);
    let both = async { tokio::join!(inward(&inbox, to), outward(from, &mut outbox)) };
    tokio::select! {
        _ = both => {}
        () = gone.cancelled() => {}
    }
    inbox.close();
    // The client may be gone already.
    let _ = outbox.close().await;
}

async fn inward(inbox: &Inbox, mut to: WriteHalf<Tunnel>) {
    while let Ok(Some(bytes)) = inbox.take().await {
        if to.write_all(&bytes).await.is_err() {
            inbox.close();
            return;
        }
    }
    let _ = to.shutdown().await;
}

async fn outward(mut from: ReadHalf<Tunnel>, outbox: &mut Outbox) -> Result<(), Gone> {
    let mut block = vec![0; BLOCK];
    loop {
        match from.read(&mut block).await {
            Ok(0) | Err(_) => return outbox.end().await,
            Ok(read) => outbox.out(block.get(..read).unwrap_or_default()).await?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::own_port;

    #[test]
    fn only_the_sandbox_itself_is_reached() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "0.0.0.0"]
        {
            assert_eq!(own_port(host, 80), Some(80), "{host}");
        }
        for host in ["example.com", "10.0.0.1", "169.254.169.254", "", "localhost.evil.com"] {
            assert_eq!(own_port(host, 80), None, "{host}");
        }
        assert_eq!(own_port("localhost", 0), None);
        assert_eq!(own_port("localhost", 65_536), None);
    }
}
