//! The way to web servers inside environments: one loopback port, told apart by host name.
//! `ENV.PROJECT.localhost` is the environment's main port, `PORT-ENV.PROJECT.localhost` any other.
//! Bytes pass through the guest, so nothing is opened in the environment's network.

use std::sync::Arc;
use std::time::Duration;

use atelier_run::Workshop;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// The most of a request that is read to find its host name.
const LONGEST_HEAD: usize = 64 << 10;
/// How long a client may take to send it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Listens. A port that another home's control plane has, or anybody else, costs the port's number
/// and nothing more: any other port of the same address serves as well.
pub(crate) async fn bind(address: Option<&str>) -> Option<TcpListener> {
    let address = address?;
    let error = match TcpListener::bind(address).await {
        Ok(listener) => return Some(listener),
        Err(error) => error,
    };
    tracing::warn!(%error, address, "the ingress takes another port");
    let (host, _) = address.rsplit_once(':')?;
    match TcpListener::bind(format!("{host}:0")).await {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::warn!(%error, address, "no ingress: environments have no URL");
            None
        }
    }
}

/// Serves until `stop`.
pub(crate) async fn run(listener: TcpListener, workshop: Arc<Workshop>, stop: CancellationToken) {
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        if let Ok((stream, _)) = stream {
            let workshop = workshop.clone();
            tokio::spawn(async move {
                if let Err(error) = pass(stream, &workshop).await {
                    tracing::debug!(%error, "a connection through the ingress ended");
                }
            });
        }
    }
}

/// Reads the head of the first request, finds the environment, and joins the two connections. A
/// connection stays with its first host, so the upstream is told to close it after one answer
/// unless it was upgraded; clients open another.
async fn pass(mut client: TcpStream, workshop: &Workshop) -> std::io::Result<()> {
    let head = tokio::time::timeout(PATIENCE, read_head(&mut client)).await??;
    let Some(host) = host(&head) else { return answer(&mut client, 400, "no host name").await };
    let Some((port, env, project)) = parse(&host) else {
        return answer(&mut client, 404, "the host name is not PORT-ENV.PROJECT.localhost").await;
    };
    match workshop.tunnel(env, project, port).await {
        Ok(mut upstream) => {
            upstream.write_all(&single_use(&head)).await?;
            copy_bidirectional(&mut client, &mut upstream).await?;
            Ok(())
        }
        Err(problem) => {
            let status = if problem.status == 404 { 404 } else { 502 };
            answer(&mut client, status, &problem.detail).await
        }
    }
}

async fn read_head(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(4096);
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        if head.len() > LONGEST_HEAD || client.read_buf(&mut head).await? == 0 {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
    }
    Ok(head)
}

/// The value of the Host header, without the port.
fn host(head: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(head);
    let value = text.lines().skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim().to_ascii_lowercase())
    })?;
    Some(value.rsplit_once(':').map_or(value.as_str(), |(host, _)| host).to_owned())
}

/// Port, environment and project of a host name.
fn parse(host: &str) -> Option<(Option<u16>, &str, &str)> {
    let (left, project) = host.strip_suffix(".localhost")?.split_once('.')?;
    match left.split_once('-') {
        Some((port, env)) if port.bytes().all(|b| b.is_ascii_digit()) && !port.is_empty() => {
            Some((Some(port.parse().ok()?), env, project))
        }
        _ => Some((None, left, project)),
    }
}

/// The same head with `Connection: close`, unless it asks for an upgrade.
fn single_use(head: &[u8]) -> Vec<u8> {
    let end = head.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(head.len());
    let (lines, body) = head.split_at(end);
    let text = String::from_utf8_lossy(lines);
    if text.lines().any(|l| l.to_ascii_lowercase().starts_with("upgrade:")) {
        return head.to_vec();
    }
    let mut out = Vec::with_capacity(head.len() + 24);
    for line in lines.split(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.to_ascii_lowercase().starts_with(b"connection:") {
            out.extend_from_slice(line);
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(b"Connection: close");
    out.extend_from_slice(body);
    out
}

async fn answer(client: &mut TcpStream, status: u16, why: &str) -> std::io::Result<()> {
    let reason = match status {
        400 => "Bad Request",
        404 => "Not Found",
        _ => "Bad Gateway",
    };
    let text = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\natelier: {why}\n",
        why.len() + 10
    );
    client.write_all(text.as_bytes()).await?;
    client.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_name_a_port_an_environment_and_a_project() {
        assert_eq!(parse("fix-login.shop.localhost"), Some((None, "fix-login", "shop")));
        assert_eq!(parse("8000-fix-login.shop.localhost"), Some((Some(8000), "fix-login", "shop")));
        assert_eq!(parse("99999-a.shop.localhost"), None);
        assert_eq!(parse("localhost"), None);
        assert_eq!(parse("a.shop.example.com"), None);
    }

    #[test]
    fn the_upstream_is_told_to_close_unless_it_is_upgraded() {
        let head =
            b"GET / HTTP/1.1\r\nHost: A.b.localhost:4780\r\nConnection: keep-alive\r\n\r\nrest";
        assert_eq!(host(head).as_deref(), Some("a.b.localhost"));
        let sent = single_use(head);
        let text = String::from_utf8(sent).unwrap();
        assert_eq!(
            text,
            "GET / HTTP/1.1\r\nHost: A.b.localhost:4780\r\nConnection: close\r\n\r\nrest"
        );
        let upgrade =
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        assert_eq!(single_use(upgrade), upgrade);
    }
}
