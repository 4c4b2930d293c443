//! What only Podman's own API tells. Its answers to Docker's questions don't say that it is rootless.

use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// The version of HTTP in which an answer is whole and ends with its connection.
const QUESTION: &[u8] = b"GET /v4.0.0/libpod/info HTTP/1.0\r\nHost: podman\r\n\r\n";
/// How long it may take, and how long its answer may be.
const LIMIT: Duration = Duration::from_secs(30);
const LONGEST: u64 = 4 << 20;

#[derive(Deserialize)]
struct Info {
    host: Host,
}

#[derive(Deserialize)]
struct Host {
    security: Security,
}

#[derive(Deserialize)]
struct Security {
    rootless: bool,
}

/// Whether the Podman at an address runs as an ordinary user; `None` when it does not say.
pub(crate) async fn rootless(address: &str) -> Option<bool> {
    let answer = tokio::time::timeout(LIMIT, answer(address)).await.ok()?.ok()?;
    read(&answer)
}

async fn answer(address: &str) -> std::io::Result<Vec<u8>> {
    let socket = address.strip_prefix("unix://").or(address.starts_with('/').then_some(address));
    match (socket, address.split_once("://")) {
        (Some(path), _) => ask(UnixStream::connect(path).await?).await,
        (None, Some((_, host))) => ask(TcpStream::connect(host.trim_end_matches('/')).await?).await,
        (None, None) => ask(TcpStream::connect(address).await?).await,
    }
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<Vec<u8>> {
    stream.write_all(QUESTION).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).await?;
    Ok(answer)
}

fn read(answer: &[u8]) -> Option<bool> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let info: Info = serde_json::from_slice(answer.get(end + 4..)?).ok()?;
    Some(info.host.security.rootless)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_podman_says_is_read_and_what_others_say_is_nothing() {
        let said = b"HTTP/1.0 200 OK\r\nServer: Libpod/4.3.1 (linux)\r\n\r\n\
            {\"host\":{\"arch\":\"amd64\",\"security\":{\"rootless\":true}}}";
        assert_eq!(read(said), Some(true));
        assert_eq!(read(b"HTTP/1.0 404 Not Found\r\n\r\n{\"message\":\"page not found\"}"), None);
        assert_eq!(read(b"nonsense"), None);
    }
}
