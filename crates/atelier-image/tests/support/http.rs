//! HTTP/1.1 by hand, for both sides: a client that pushes, a registry that misbehaves.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// An answer as a client sees it.
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
}

/// One request.
pub async fn send(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let stream = TcpStream::connect(to).await?;
    let mut stream = BufReader::new(stream);
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    let (first, headers) = head_of(&mut stream).await?;
    let status = first.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    Ok(Answer { status, headers })
}

async fn head_of(
    stream: &mut BufReader<TcpStream>,
) -> std::io::Result<(String, HashMap<String, String>)> {
    let mut first = String::new();
    stream.read_line(&mut first).await?;
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 || line.trim().is_empty() {
            return Ok((first.trim().to_owned(), headers));
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
}

/// A request as a server sees it.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: String,
}

/// What a server does.
pub enum Reply {
    /// A status, headers, a body.
    Full(u16, Vec<(String, String)>, Vec<u8>),
    /// Half of it, then the connection is closed: what it promises, what it sends.
    CutOff(u64, Vec<u8>),
    /// Half of it, then nothing at all.
    Stall(u64, Vec<u8>),
}

impl Reply {
    pub fn ok(kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::Full(200, vec![("Content-Type".into(), kind.into())], body.into())
    }

    pub fn status(status: u16) -> Self {
        Self::Full(status, Vec::new(), Vec::new())
    }
}

/// A server on a loopback port, which ends with the test's runtime.
pub struct Server {
    pub address: SocketAddr,
    pub requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub async fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen) = (Arc::new(answer), Arc::clone(&requests));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                tokio::spawn(async move {
                    let _ = serve(stream, &*answer, &seen).await;
                });
            }
        });
        Self { address, requests }
    }

    pub fn paths(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|r| r.path.clone()).collect()
    }
}

async fn serve(
    stream: TcpStream,
    answer: &(dyn Fn(&Request) -> Reply + Send + Sync),
    seen: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (first, headers) = head_of(&mut stream).await?;
    let mut words = first.split(' ');
    let length = headers.get("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let request = Request {
        method: words.next().unwrap_or_default().to_owned(),
        path: words.next().unwrap_or_default().to_owned(),
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let reply = answer(&request);
    seen.lock().unwrap().push(request);
    let (status, headers, length, body, stall) = match reply {
        Reply::Full(status, headers, body) => (status, headers, body.len() as u64, body, false),
        Reply::CutOff(length, body) => (200, Vec::new(), length, body, false),
        Reply::Stall(length, body) => (200, Vec::new(), length, body, true),
    };
    let mut head =
        format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.flush().await?;
    if stall {
        std::future::pending::<()>().await;
    }
    stream.shutdown().await
}
