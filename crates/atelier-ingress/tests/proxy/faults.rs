//! Clients and upstreams that go away, are slow, or do not speak HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use atelier_ingress::{Options, Refusal};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

#[tokio::test]
async fn an_upstream_that_dies_in_its_answer_breaks_the_clients() {
    let place = Place::new().await;
    for head in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let server = raw_server(move |mut stream| async move {
            read_head(&mut stream).await;
            let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n3\r\nabc\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        place.lead("app.test", server.address);
        // Whether the head still arrives is a matter of luck; that it is no whole answer is not.
        let answer = place.http1().await.send_request(get("/")).await;
        assert!(is_broken(answer).await, "{head}");
        let mut request = get("http://app.test/");
        request.headers_mut().clear();
        let answer = place.http2().await.send_request(request).await;
        assert!(is_broken(answer).await, "{head} over HTTP/2");
        place.quiet().await;
    }
}

#[tokio::test]
async fn a_request_whose_upstream_leaves_is_told_so() {
    let place = Place::new().await;
    let server = raw_server(|mut stream| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    place.lead("app.test", server.address);
    *place.table.change.lock().unwrap() = Some(|upstream| {
        let gone = Refusal::text(StatusCode::BAD_GATEWAY, "it was not found");
        upstream.leaves = Some(Box::pin(std::future::ready(gone)));
    });
    let answer = place.http1().await.send_request(get("/")).await.unwrap();
    assert_eq!(answer.status(), 502);
    assert_eq!(text(answer).await, "it was not found\n");
    place.quiet().await;
}

async fn is_broken(answer: hyper::Result<Response<Incoming>>) -> bool {
    match answer {
        Err(_) => true,
        Ok(response) => {
            assert_eq!(response.status(), 200);
            response.into_body().collect().await.is_err()
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_resets_the_clients_connection() {
    let place = Place::new().await;
    let go_on = Arc::new(tokio::sync::Notify::new());
    let told = go_on.clone();
    let server = raw_server(move |mut stream| {
        let told = told.clone();
        async move {
            read_head(&mut stream).await;
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            told.notified().await;
        }
    })
    .await;
    place.lead("app.test", server.address);
    let mut stream = TcpStream::connect(place.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"abc\r\n") {
        assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
    }
    go_on.notify_one();
    let end = stream.read_buf(&mut seen).await.unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_upstream_that_speaks_no_http_or_nothing_is_told_of() {
    let place = Place::new().await;
    for answer in [
        "SSH-2.0-x\r\n",
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        let server = raw_server(move |mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        place.lead("app.test", server.address);
        let response = place.http1().await.send_request(get("/")).await.unwrap();
        assert_eq!(response.status(), 502, "{answer:?}");
        assert_eq!(text(response).await, "broken\n");
    }
    place.quiet().await;
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_the_upstream() {
    let place = Place::new().await;
    let begun = Arc::new(AtomicUsize::new(0));
    let ended = Arc::new(AtomicUsize::new(0));
    let (b, e) = (begun.clone(), ended.clone());
    let server = raw_server(move |mut stream| {
        let (begun, ended) = (b.clone(), e.clone());
        async move {
            read_head(&mut stream).await;
            begun.fetch_add(1, Ordering::SeqCst);
            // Nothing is answered; the connection ends because the proxy closes it.
            stream.read_u8().await.ok();
            ended.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    place.lead("app.test", server.address);
    let mut stream = TcpStream::connect(place.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await.unwrap();
    eventually(|| begun.load(Ordering::SeqCst) == 1).await;
    drop(stream);
    eventually(|| ended.load(Ordering::SeqCst) == 1).await;
    let mut client = place.http2().await;
    let mut request = get("http://app.test/");
    request.headers_mut().clear();
    let answer = tokio::spawn(async move { client.send_request(request).await });
    eventually(|| begun.load(Ordering::SeqCst) == 2).await;
    answer.abort();
    eventually(|| ended.load(Ordering::SeqCst) == 2).await;
    place.quiet().await;
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_not_noticed_by_clients() {
    let place = Place::new().await;
    // Each connection answers once, says nothing about closing, and closes at the next request.
    let server = raw_server(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        read_head(&mut stream).await;
    })
    .await;
    place.lead("app.test", server.address);
    let mut client = place.http1().await;
    for _ in 0..5 {
        assert_eq!(text(client.send_request(get("/")).await.unwrap()).await, "ok");
        client.ready().await.unwrap();
        eventually(|| place.ingress.idle_connections() == 1).await;
    }
    // What may have been carried out is not sent a second time.
    let response = client.send_request(post("/", full("x"))).await.unwrap();
    assert_eq!(response.status(), 502);
}

#[tokio::test]
async fn a_head_that_does_not_end_closes_the_connection() {
    let options = Options { head_time: Duration::from_millis(200), ..Options::default() };
    let place = Place::with(options, None).await;
    place.lead("app.test", echo().await.address);
    for start in ["", "GET / HTTP/1.1\r\nHost: app.test\r\nX-Slow: ", "PRI * HTTP/2.0\r\n"] {
        assert_eq!(place.raw(start.as_bytes()).await, "", "{start:?}");
    }
    // So does one that comes after an answer, while waiting between two requests is fine.
    let mut stream = TcpStream::connect(place.address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n";
    let mut answer = vec![0; 4096];
    for _ in 0..2 {
        stream.write_all(request).await.unwrap();
        assert!(stream.read(&mut answer).await.unwrap() > 0);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    stream.write_all(&request[..20]).await.unwrap();
    let end = tokio::time::timeout(LONG, stream.read(&mut answer)).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[tokio::test]
async fn a_slow_answer_is_not_a_slow_client() {
    let options = Options {
        head_time: Duration::from_millis(100),
        client_idle: Duration::from_millis(100),
        ..Options::default()
    };
    let place = Place::with(options, None).await;
    let server = serve(|_| async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        Ok(Response::new(full("late")))
    })
    .await;
    place.lead("app.test", server.address);
    assert_eq!(text(place.http1().await.send_request(get("/")).await.unwrap()).await, "late");
    let mut request = get("http://app.test/");
    request.headers_mut().clear();
    assert_eq!(text(place.http2().await.send_request(request).await.unwrap()).await, "late");
}

#[tokio::test]
async fn an_answer_may_be_given_a_time_to_begin() {
    let options = Options { first_byte: Some(Duration::from_millis(100)), ..Options::default() };
    let place = Place::with(options, None).await;
    let server = raw_server(|mut stream| async move {
        read_head(&mut stream).await;
        stream.read_u8().await.ok();
    })
    .await;
    place.lead("app.test", server.address);
    let response = place.http1().await.send_request(get("/")).await.unwrap();
    assert_eq!(text(response).await, "timed out\n");
}
