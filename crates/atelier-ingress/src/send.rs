//! Sends a request over a waiting connection or a new one, and decides when it may be sent twice.

use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::{Method, Request, Response};

use crate::body::RequestBody;
use crate::options::Options;
use crate::pool::Pool;
use crate::upstream::{Dial, Failure};
use crate::wire::Wire;

/// The answer of an upstream with the connection it came on. `make` makes the head, again for each try.
pub(crate) async fn send(
    pool: &Pool,
    options: &Options,
    (key, to): (&str, &dyn Dial),
    mut body: RequestBody,
    make: impl Fn() -> Request<()>,
) -> Result<(Response<Incoming>, Wire), Failure> {
    while let Some(mut wire) = pool.take(key) {
        let request = make().map(|()| body);
        let repeatable = request.body().is_end_stream() && is_idempotent(request.method());
        let answer = within(options.first_byte, wire.send(request)).await?;
        let mut error = match answer {
            Ok(response) => return Ok((response, wire)),
            Err(error) => error,
        };
        body = match error.take_message() {
            // Not a byte of it was written.
            Some(request) => request.into_body(),
            None if repeatable && is_closed(error.error()) => RequestBody::empty(),
            None => return Err(broken(error.into_error())),
        };
    }
    let mut wire = dial(options, to).await?;
    let request = make().map(|()| body);
    match within(options.first_byte, wire.send(request)).await? {
        Ok(response) => Ok((response, wire)),
        Err(error) => Err(broken(error.into_error())),
    }
}

async fn dial(options: &Options, to: &dyn Dial) -> Result<Wire, Failure> {
    let stream = tokio::time::timeout(options.dial_time, to.dial())
        .await
        .map_err(|_| Failure::TimedOut("connecting"))?
        .map_err(Failure::Unreachable)?;
    Wire::open(stream, options.head_size).await.map_err(broken)
}

async fn within<T>(limit: Option<Duration>, work: impl Future<Output = T>) -> Result<T, Failure> {
    match limit {
        None => Ok(work.await),
        Some(limit) => {
            tokio::time::timeout(limit, work).await.map_err(|_| Failure::TimedOut("the answer"))
        }
    }
}

fn is_idempotent(method: &Method) -> bool {
    method.is_idempotent()
}

/// Whether the upstream closed the connection, as it may at any time between two requests.
fn is_closed(error: &hyper::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    let io =
        std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    error.is_incomplete_message()
        || error.is_closed()
        || error.is_canceled()
        || io.is_some_and(|io| matches!(io.kind(), BrokenPipe | ConnectionReset | NotConnected))
}

fn broken(error: hyper::Error) -> Failure {
    Failure::Broken(Box::new(error))
}
