//! `GET /tunnel`: a raw connection to a port inside the sandbox.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::TcpStream;

use super::reply::{self, Reply};
use super::router::Query;
use super::state::Server;

/// Bytes that are on their way in each direction.
const BUFFER: usize = 32 << 10;

/// Connects, answers 101, and passes bytes on from then.
pub(super) async fn open(server: &Rc<Server>, mut request: Request<Incoming>) -> Response<Reply> {
    let query = Query::of(request.uri());
    let port = query.get("port").and_then(|port| port.parse::<u16>().ok()).filter(|it| *it > 0);
    let Some(port) = port else {
        return reply::problem(StatusCode::BAD_REQUEST, "the query needs port=1..65535");
    };
    let wants = request.headers().get(UPGRADE).is_some_and(|it| it.as_bytes() == b"tcp");
    if !wants {
        return reply::problem(StatusCode::UPGRADE_REQUIRED, "the request needs Upgrade: tcp");
    }
    let stream = match connect(query.get("host"), port).await {
        Ok(stream) => stream,
        Err(error) => return not_open(port, &error),
    };
    let upgrade = hyper::upgrade::on(&mut request);
    let carry = async move {
        let Ok(upgraded) = upgrade.await else { return };
        let (mut outside, mut inside) = (TokioIo::new(upgraded), stream);
        // Either end may go at any time; there is nobody else to tell.
        let _ = copy_bidirectional_with_sizes(&mut outside, &mut inside, BUFFER, BUFFER).await;
    };
    let server = Rc::clone(server);
    tokio::task::spawn_local(async move { server.gate.through(carry).await });
    let mut response = Response::new(Reply::Whole(bytes::Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("tcp"));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response
}

async fn connect(host: Option<&str>, port: u16) -> io::Result<TcpStream> {
    let stream = match host {
        Some(host) if host != "localhost" => {
            let address: IpAddr = host.parse().map_err(|_| {
                io::Error::new(io::ErrorKind::InvalidInput, format!("'{host}' is no address"))
            })?;
            TcpStream::connect((address, port)).await?
        }
        // Servers that listen on one of the two only are common.
        _ => match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(stream) => stream,
            Err(first) => TcpStream::connect(("::1", port)).await.map_err(|_| first)?,
        },
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn not_open(port: u16, error: &io::Error) -> Response<Reply> {
    let body = serde_json::json!({
        "code": StatusCode::BAD_GATEWAY.as_u16(),
        "message": format!("The sandbox is running but port is not open: {port}: {error}"),
        "port": port,
    });
    reply::whole(StatusCode::BAD_GATEWAY, crate::wire::UNARY_TYPE, body.to_string())
}
