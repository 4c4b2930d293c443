//! WebSockets and other protocols through the proxy.

use atelier_ingress::{Options, Peer};
use futures_util::{SinkExt, StreamExt};
use hyper::ext::Protocol;
use hyper::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::support::*;

/// An upstream that repeats the messages of WebSockets.
async fn repeater() -> Server {
    serve(|mut request| async move {
        if request.headers().get(UPGRADE).is_none_or(|u| u != "websocket") {
            return Ok(Response::builder().status(426).body(full("no websocket")).unwrap());
        }
        let accept = derive_accept_key(request.headers()[SEC_WEBSOCKET_KEY].as_bytes());
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let io = TokioIo::new(upgrade.await.unwrap());
            let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
            while let Some(Ok(message)) = socket.next().await {
                if message.is_close() || socket.send(message).await.is_err() {
                    break;
                }
            }
        });
        Ok(Response::builder()
            .status(101)
            .header(CONNECTION, "upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_ACCEPT, accept)
            .body(empty())
            .unwrap())
    })
    .await
}

async fn repeats(io: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, place: &Place) {
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Client, None).await;
    for size in [1, 200, 70_000, 1 << 20] {
        let message = Message::binary(vec![3; size]);
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    assert_eq!(place.table.open.load(std::sync::atomic::Ordering::SeqCst), 1);
    drop(socket);
    place.quiet().await;
}

#[tokio::test]
async fn a_websocket_passes() {
    let place = Place::new().await;
    place.lead("app.test", repeater().await.address);
    let stream = TcpStream::connect(place.address).await.unwrap();
    let (socket, answer) =
        tokio_tungstenite::client_async("ws://app.test/socket", stream).await.unwrap();
    assert_eq!(answer.headers()[UPGRADE], "websocket");
    repeats(socket.into_inner(), &place).await;
}

#[tokio::test]
async fn a_websocket_that_another_server_accepted_passes() {
    let place = Place::new().await;
    place.lead("app.test", repeater().await.address);
    let ingress = place.ingress.clone();
    let other = raw_server(move |stream| {
        let ingress = ingress.clone();
        async move {
            let service =
                hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                    let ingress = ingress.clone();
                    async move {
                        let peer = Peer { address: ([127, 0, 0, 1], 1).into(), tls: false };
                        Ok::<_, std::convert::Infallible>(ingress.handle(request, peer).await)
                    }
                });
            let server = hyper::server::conn::http1::Builder::new();
            server.serve_connection(TokioIo::new(stream), service).with_upgrades().await.ok();
        }
    })
    .await;
    let stream = TcpStream::connect(other.address).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async("ws://app.test/", stream).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
    place.ingress.end_tunnels();
    assert!(socket.next().await.is_none_or(|message| message.is_err()));
    place.quiet().await;
}

#[tokio::test]
async fn a_websocket_over_http2_passes() {
    let place = Place::new().await;
    place.lead("app.test", repeater().await.address);
    let mut client = place.http2().await;
    // The client learns from the first frames of the proxy that it may do this.
    client.send_request(Request::get("http://app.test/").body(empty()).unwrap()).await.unwrap();
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri("http://app.test/socket")
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .body(empty())
        .unwrap();
    let mut response = client.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key(SEC_WEBSOCKET_ACCEPT));
    let upgraded = hyper::upgrade::on(&mut response).await.unwrap();
    place.quiet_but_one().await;
    repeats(TokioIo::new(upgraded), &place).await;
}

#[tokio::test]
async fn an_upgrade_that_is_declined_is_an_answer_like_any_other() {
    let place = Place::before_echo().await;
    let mut request = get("/");
    request.headers_mut().insert(CONNECTION, "Upgrade".parse().unwrap());
    request.headers_mut().insert(UPGRADE, "websocket".parse().unwrap());
    let mut client = place.http1().await;
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let seen = text(response).await;
    assert!(seen.contains("connection: Upgrade\nupgrade: websocket\n"), "{seen}");
    client.ready().await.unwrap();
    assert_eq!(client.send_request(get("/")).await.unwrap().status(), 200);
    // Over HTTP/2 the same success would be taken for a tunnel.
    let mut client = place.http2().await;
    client.send_request(Request::get("http://app.test/").body(empty()).unwrap()).await.unwrap();
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri("http://app.test/")
        .extension(Protocol::from_static("websocket"))
        .body(empty())
        .unwrap();
    assert_eq!(client.send_request(request).await.unwrap().status(), StatusCode::BAD_GATEWAY);
}

/// An upstream that changes to a protocol of lines and repeats one in capitals.
async fn shouter() -> Server {
    raw_server(|mut stream| async move {
        let head = read_head(&mut stream).await;
        assert!(head.to_ascii_lowercase().contains("upgrade: shout"), "{head}");
        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\nHELLO ";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut line = [0; 5];
        stream.read_exact(&mut line).await.unwrap();
        stream.write_all(&line.to_ascii_uppercase()).await.unwrap();
        // Until the client has closed its side.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        stream.write_all(b" BYE").await.unwrap();
    })
    .await
}

#[tokio::test]
async fn any_protocol_passes_with_the_first_bytes_and_half_closed_connections() {
    let place = Place::new().await;
    place.lead("app.test", shouter().await.address);
    let mut stream = TcpStream::connect(place.address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: shout\r\n\r\nworld";
    stream.write_all(request).await.unwrap();
    stream.shutdown().await.unwrap();
    let head = read_head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "HELLO WORLD BYE");
    place.quiet().await;
}

#[tokio::test]
async fn a_stop_ends_upgraded_connections_after_its_grace() {
    let options = Options { grace: std::time::Duration::from_millis(100), ..Options::default() };
    let place = Place::with(options, None).await;
    place.lead("app.test", repeater().await.address);
    let stream = TcpStream::connect(place.address).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async("ws://app.test/", stream).await.unwrap();
    place.stop.cancel();
    assert!(socket.next().await.is_none_or(|message| message.is_err()));
    tokio::time::timeout(LONG, place.served).await.unwrap().unwrap();
}
