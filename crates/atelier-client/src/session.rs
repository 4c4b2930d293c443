//! A session: a WebSocket on the client's connection (RFC 6455), in two halves that work at the
//! same time.

use std::io;

use atelier_api::API_ROOT;
use atelier_api::session::{Chunk, LINGERS_HEADER, RUN_PATH, Stream, ToClient, ToServer};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use http_body_util::Full;
use hyper::header::{CONNECTION, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Utf8Bytes};

use crate::client::lost;
use crate::{Client, ClientError};

/// The largest message that is accepted.
const MAX_MESSAGE: usize = 16 << 20;
/// The largest piece of standard input in one message.
const CHUNK: usize = 64 << 10;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A session that has begun.
#[derive(Debug)]
pub struct Session {
    sender: SessionSender,
    receiver: SessionReceiver,
}

/// The half that speaks.
#[derive(Debug)]
pub struct SessionSender(SplitSink<Socket, tungstenite::Message>);

/// The half that listens.
#[derive(Debug)]
pub struct SessionReceiver(SplitStream<Socket>);

/// What the server says.
#[derive(Debug)]
pub enum Message {
    /// A word of the protocol.
    Control(ToClient),
    /// Bytes of the command's output.
    Output {
        /// Which stream.
        stream: Stream,
        /// The offset of the next byte.
        next: u64,
        /// The bytes.
        bytes: Bytes,
    },
}

impl Client {
    /// Begins a session with its first message: `start` or `attach`.
    ///
    /// # Errors
    /// As [`Client::call`]. What fails later comes as [`ToClient::Problem`].
    pub async fn session(&self, first: &ToServer) -> Result<Session, ClientError> {
        let key = generate_key();
        let builder = Request::builder()
            .uri(format!("{API_ROOT}{RUN_PATH}"))
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", &key);
        let builder = if self.lingers { builder.header(LINGERS_HEADER, "yes") } else { builder };
        let (sender, response) = self.send(builder, Full::new(Bytes::new())).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(self.refused(sender, response).await);
        }
        let accept = response.headers().get("sec-websocket-accept");
        if accept
            .is_none_or(|given| given.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes())
        {
            return Err(ClientError::Protocol("the WebSocket's handshake does not fit".into()));
        }
        let stream = TokioIo::new(hyper::upgrade::on(response).await.map_err(|e| lost(&e))?);
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let socket = WebSocketStream::from_raw_socket(stream, Role::Client, Some(config)).await;
        let (sink, stream) = socket.split();
        let mut sender = SessionSender(sink);
        sender.send(first).await?;
        Ok(Session { sender, receiver: SessionReceiver(stream) })
    }
}

impl Session {
    /// Its two halves, which may be used at the same time.
    #[must_use]
    pub fn split(self) -> (SessionSender, SessionReceiver) {
        (self.sender, self.receiver)
    }
}

impl SessionSender {
    /// Says a word of the protocol.
    ///
    /// # Errors
    /// [`ClientError::Lost`] when the connection broke.
    pub async fn send(&mut self, word: &ToServer) -> Result<(), ClientError> {
        let text = serde_json::to_string(word).map_err(|e| ClientError::Protocol(e.to_string()))?;
        self.0.send(tungstenite::Message::Text(Utf8Bytes::from(text))).await.map_err(broken)
    }

    /// Sends standard input, and waits until the connection has taken it.
    ///
    /// # Errors
    /// [`ClientError::Lost`] when the connection broke.
    pub async fn stdin(&mut self, mut bytes: Bytes) -> Result<(), ClientError> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(CHUNK));
            self.0.send(tungstenite::Message::Binary(piece)).await.map_err(broken)?;
        }
        Ok(())
    }

    /// Ends the session; the server hangs up on a command that still runs. A connection that is
    /// broken already is as good as ended.
    pub async fn close(&mut self) {
        let _ = self.0.close().await;
    }
}

impl SessionReceiver {
    /// The next message; `None` when the server has closed the session.
    ///
    /// # Errors
    /// [`ClientError::Lost`] when the connection broke, [`ClientError::Protocol`] for what no
    /// server of this version says.
    pub async fn next(&mut self) -> Result<Option<Message>, ClientError> {
        while let Some(message) = self.0.next().await {
            return match message.map_err(broken)? {
                tungstenite::Message::Text(text) => control(&text).map(Some),
                tungstenite::Message::Binary(bytes) => output(&bytes).map(Some),
                tungstenite::Message::Close(_) => Ok(None),
                _ => continue,
            };
        }
        Ok(None)
    }
}

fn control(text: &str) -> Result<Message, ClientError> {
    let word = serde_json::from_str(text);
    word.map(Message::Control).map_err(|e| ClientError::Protocol(format!("a message: {e}")))
}

fn output(message: &Bytes) -> Result<Message, ClientError> {
    let chunk = Chunk::decode(message)
        .ok_or_else(|| ClientError::Protocol("output without its head".into()))?;
    let bytes = message.slice_ref(chunk.bytes);
    Ok(Message::Output { stream: chunk.stream, next: chunk.next, bytes })
}

fn broken(error: tungstenite::Error) -> ClientError {
    match error {
        tungstenite::Error::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            ClientError::Lost("it was closed".into())
        }
        tungstenite::Error::Capacity(e) => ClientError::Protocol(e.to_string()),
        other => ClientError::Lost(other.to_string()),
    }
}
