//! `POST /files`.

use std::io::Write;

use flate2::write::GzDecoder;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};
use hyper::{Request, Response, StatusCode};

use super::super::reply::{self, Reply};
use super::super::router::Query;
use super::super::state::Server;
use super::multipart::Parser;
use super::sink::{Files, Sink};
use super::{Refusal, admit, metadata, refused};
use crate::wire::WrittenFile;

/// Writes what a body holds.
pub(in super::super) async fn upload(
    server: &Server,
    request: Request<Incoming>,
) -> Response<Reply> {
    match store(server, request).await {
        Ok(files) => reply::json(StatusCode::OK, &files),
        Err(refusal) => refused(&refusal),
    }
}

async fn store(server: &Server, request: Request<Incoming>) -> Result<Vec<WrittenFile>, Refusal> {
    let invalid = |why: String| (StatusCode::BAD_REQUEST, why);
    let query = Query::of(request.uri());
    let headers = request.headers();
    let user = admit(server, headers, &query, "write")?;
    let metadata =
        metadata::of_headers(headers).map_err(|why| invalid(format!("invalid metadata: {why}")))?;
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let compressed = match text(CONTENT_ENCODING).trim().to_ascii_lowercase().as_str() {
        "" | "identity" => false,
        "gzip" => true,
        other => {
            let why = format!("unsupported Content-Encoding: {other}, supported: [gzip]");
            return Err(invalid(format!("error decompressing request body: {why}")));
        }
    };
    let form = form(text(CONTENT_TYPE))?;
    let path = query.get("path").map(ToOwned::to_owned);
    let (current, failure, written) = (None, None, Vec::new());
    let files = Files { server, user, path, metadata, written, current, failure };
    let mut sink = Sink { files, form };
    if sink.form.is_none() {
        let path = sink.files.path.clone().ok_or_else(|| {
            invalid("path query parameter is required for raw body upload".to_owned())
        })?;
        let opened = sink.files.open(&path);
        explain(&mut sink, opened)?;
    }
    pour(request.into_body(), sink, compressed).await
}

/// A form's parser, or none when the body is one file as it is.
fn form(content_type: &str) -> Result<Option<Parser>, Refusal> {
    let kind = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/octet-stream" => Ok(None),
        "multipart/form-data" => Parser::new(content_type).map(Some).ok_or_else(|| {
            let why = "error parsing multipart form: no multipart boundary param in Content-Type";
            (StatusCode::BAD_REQUEST, why.to_owned())
        }),
        _ => Err((
            StatusCode::BAD_REQUEST,
            format!(
                "unsupported content type: {content_type}, expected multipart/form-data or application/octet-stream"
            ),
        )),
    }
}

async fn pour(
    mut body: Incoming,
    sink: Sink<'_>,
    compressed: bool,
) -> Result<Vec<WrittenFile>, Refusal> {
    let mut target =
        if compressed { Target::Gzip(GzDecoder::new(sink)) } else { Target::Plain(sink) };
    while let Some(frame) = body.frame().await {
        let data = frame
            .map_err(|error| (StatusCode::BAD_REQUEST, format!("error reading body: {error}")))?
            .into_data();
        let Ok(data) = data else { continue };
        let written = target.write(&data);
        explain(target.sink(), written)?;
        // Writing to a disk does not wait as reading from a socket does: let others have a turn.
        tokio::task::consume_budget().await;
    }
    let mut sink = match target {
        Target::Plain(sink) => sink,
        Target::Gzip(decoder) => decoder.finish().map_err(|error| {
            let why = format!("error decompressing request body: {error}");
            (StatusCode::BAD_REQUEST, why)
        })?,
    };
    if sink.form.as_ref().is_some_and(|form| !form.is_done()) {
        let why = "error reading form: the body ended before the form";
        return Err((StatusCode::BAD_REQUEST, why.to_owned()));
    }
    let closed = sink.files.close();
    explain(&mut sink, closed)?;
    Ok(sink.files.written)
}

// One lives for each upload, on its stack: the room that a plain one wastes is nothing.
#[allow(clippy::large_enum_variant)]
enum Target<'a> {
    Plain(Sink<'a>),
    Gzip(GzDecoder<Sink<'a>>),
}

impl<'a> Target<'a> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(sink) => sink.write_all(bytes),
            Self::Gzip(decoder) => decoder.write_all(bytes),
        }
    }

    fn sink(&mut self) -> &mut Sink<'a> {
        match self {
            Self::Plain(sink) => sink,
            Self::Gzip(decoder) => decoder.get_mut(),
        }
    }
}

/// What went wrong in the sink's words, or else in the decompressor's or the form's.
fn explain(sink: &mut Sink<'_>, result: std::io::Result<()>) -> Result<(), Refusal> {
    let Err(error) = result else { return Ok(()) };
    Err(sink.files.failure.take().unwrap_or_else(|| {
        (StatusCode::BAD_REQUEST, format!("error reading request body: {error}"))
    }))
}
