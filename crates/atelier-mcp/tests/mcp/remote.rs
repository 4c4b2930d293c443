//! A remote server whose answers a test writes, and which tells what it was asked.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

pub type Answer = Response<BoxBody<Bytes, Infallible>>;

/// What it was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub body: String,
    pub headers: HeaderMap,
    pub message: Value,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub fn rpc(&self) -> &str {
        self.message["method"].as_str().unwrap_or_default()
    }
}

/// The server.
pub struct Remote {
    pub url: String,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Remote {
    pub async fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (log, answer) = (asked.clone(), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (log.clone(), answer.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (log, answer) = (log.clone(), answer.clone());
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let message = serde_json::from_slice(&body).unwrap_or(Value::Null);
                        let asked = Asked {
                            method: head.method,
                            path: head.uri.to_string(),
                            body: String::from_utf8_lossy(&body).into_owned(),
                            headers: head.headers,
                            message,
                        };
                        log.lock().unwrap().push(asked.clone());
                        Ok::<_, Infallible>(answer(&asked))
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { url, asked, task }
    }

    pub fn asked(&self, method: &str) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|a| a.rpc() == method).cloned().collect()
    }

    pub fn of(&self, method: &Method) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|a| a.method == method).cloned().collect()
    }
}

fn full(status: u16, kind: &str, body: String) -> Answer {
    let body = Full::new(Bytes::from(body)).boxed();
    Response::builder().status(status).header("content-type", kind).body(body).unwrap()
}

pub fn status(status: u16) -> Answer {
    full(status, "text/plain", String::new())
}

pub fn json(status: u16, value: &Value) -> Answer {
    full(status, "application/json", value.to_string())
}

/// A stream of these events, which then ends.
pub fn events(text: &str) -> Answer {
    full(200, "text/event-stream", text.to_owned())
}

/// A stream of these events, which then stays.
pub fn events_and_silence(text: &str) -> Answer {
    use futures_util::StreamExt;
    let first = Frame::data(Bytes::from(text.to_owned()));
    let stream = futures_util::stream::once(async { Ok(first) })
        .chain(futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>());
    let body = BoxBody::new(StreamBody::new(stream));
    Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
}
