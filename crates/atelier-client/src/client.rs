//! One client: calls over one connection that is kept between them.

use atelier_api::session::VERSION_HEADER;
use atelier_api::{Operation, Problem};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::http::request::Builder;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::Mutex;

use crate::{ClientError, Endpoint, request};

pub(crate) type Sender = SendRequest<Full<Bytes>>;

/// A client of one control plane. Calls must be made inside a tokio runtime.
#[derive(Debug)]
pub struct Client {
    endpoint: Endpoint,
    version: String,
    token: Option<String>,
    /// Whether commands go on when the connection is lost.
    pub(crate) lingers: bool,
    /// The connection that the last call left usable.
    kept: Mutex<Option<Sender>>,
}

impl Client {
    /// A client of version `version` (the crate's version and the build's id). `token` is the key
    /// that calls over TCP carry. Nothing is connected yet.
    #[must_use]
    pub fn new(endpoint: Endpoint, version: impl Into<String>, token: Option<String>) -> Self {
        Self { endpoint, version: version.into(), token, lingers: false, kept: Mutex::new(None) }
    }

    /// The same, whose commands go on when the connection is lost.
    #[must_use]
    pub(crate) fn lingering(mut self) -> Self {
        self.lingers = true;
        self
    }

    /// The same, for a control plane of whatever version: it names none of its own.
    #[must_use]
    pub(crate) fn of_any_version(&self) -> Self {
        let lingers = self.lingers;
        Self { lingers, ..Self::new(self.endpoint.clone(), "", self.token.clone()) }
    }

    /// Where the control plane is.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The headers that every request carries, whatever it asks for.
    pub(crate) fn headers(&self) -> (&str, Option<&str>) {
        (&self.version, self.token.as_deref())
    }

    /// Connects, and keeps the connection for the next call.
    ///
    /// # Errors
    /// [`ClientError::Connect`], or [`ClientError::Lost`].
    pub async fn connect(&self) -> Result<(), ClientError> {
        let sender = self.sender().await?;
        *self.kept.lock().await = Some(sender);
        Ok(())
    }

    /// Calls an operation.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with what the control plane says, or another when it could not be
    /// asked.
    pub async fn call<O: Operation>(&self, input: &O::Input) -> Result<O::Output, ClientError> {
        let request = request::request::<O>(input)?;
        request::output::<O>(&self.exchange(&request).await?)
    }

    /// Sends a request and gives the whole answer, when it says that all is well.
    pub(crate) async fn exchange(&self, request: &request::Request) -> Result<Bytes, ClientError> {
        let builder = Request::builder().method(request.method.as_str()).uri(&request.target);
        let builder = match request.body {
            Some(_) => builder.header(CONTENT_TYPE, "application/json"),
            None => builder,
        };
        let body = Full::new(request.body.clone().unwrap_or_default());
        let builder = builder.header(ACCEPT, "application/json");
        let (sender, response) = self.send(builder, body).await?;
        let (status, body) = self.rest(sender, response).await?;
        if status.is_success() { Ok(body) } else { Err(failure(status, &body)) }
    }

    /// The rest of an answer; the connection is kept for the next call.
    async fn rest(
        &self,
        mut sender: Sender,
        response: Response<Incoming>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|e| lost(&e))?.to_bytes();
        if sender.ready().await.is_ok() {
            *self.kept.lock().await = Some(sender);
        }
        Ok((status, body))
    }

    /// What an answer says that should have been a stream.
    pub(crate) async fn refused(
        &self,
        sender: Sender,
        response: Response<Incoming>,
    ) -> ClientError {
        match self.rest(sender, response).await {
            Ok((status, body)) => failure(status, &body),
            Err(error) => error,
        }
    }

    /// Sends one request and gives the beginning of its answer, with the connection.
    pub(crate) async fn send(
        &self,
        builder: Builder,
        body: Full<Bytes>,
    ) -> Result<(Sender, Response<Incoming>), ClientError> {
        let mut builder = builder.header(HOST, self.endpoint.authority());
        if !self.version.is_empty() {
            builder = builder.header(VERSION_HEADER, &self.version);
        }
        if let Some(token) = &self.token {
            builder = builder.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = builder.body(body).map_err(|e| ClientError::Protocol(e.to_string()))?;
        let mut sender = self.sender().await?;
        let response = sender.send_request(request).await.map_err(|error| {
            if error.is_canceled() { ClientError::NotSent } else { lost(&error) }
        })?;
        Ok((sender, response))
    }

    async fn sender(&self) -> Result<Sender, ClientError> {
        if let Some(mut sender) = self.kept.lock().await.take()
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let stream = self.endpoint.connect().await?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| lost(&e))?;
        tokio::spawn(connection.with_upgrades());
        Ok(sender)
    }
}

/// A broken connection in words, with its cause.
pub(crate) fn lost(error: &hyper::Error) -> ClientError {
    let mut text = error.to_string();
    if let Some(cause) = std::error::Error::source(error) {
        text = format!("{text}: {cause}");
    }
    ClientError::Lost(text)
}

/// What an answer that is no success says.
fn failure(status: StatusCode, body: &[u8]) -> ClientError {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => problem.into(),
        Err(_) => {
            let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
            ClientError::Protocol(format!("status {status}: {text}"))
        }
    }
}
