//! What an upstream sees of a request, and a client of an answer.

use std::sync::atomic::Ordering;

use atelier_ingress::Peer;
use http_body_util::BodyExt;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};

use crate::support::*;

#[tokio::test]
async fn a_request_reaches_the_upstream_of_its_host() {
    let place = Place::before_echo().await;
    let mut client = place.http1().await;
    let seen = text(client.send_request(get("/a/b?c=d%20e")).await.unwrap()).await;
    assert_eq!(
        seen,
        "GET /a/b?c=d%20e HTTP/1.1\nhost: app.test\nx-forwarded-for: 127.0.0.1\n\
         x-forwarded-proto: http\nx-forwarded-host: app.test\nbody 0\n"
    );
}

#[tokio::test]
async fn a_host_is_known_with_a_port_and_in_any_case() {
    let place = Place::before_echo().await;
    let mut client = place.http1().await;
    let request = Request::get("/").header("host", "APP.test:8443").body(empty()).unwrap();
    let seen = text(client.send_request(request).await.unwrap()).await;
    assert!(seen.contains("\nhost: APP.test:8443\n"), "{seen}");
}

#[tokio::test]
async fn an_unknown_host_gets_the_refusal_and_reaches_nothing() {
    let place = Place::new().await;
    // The name resolves to this machine in every resolver; the proxy asks none.
    place.lead("app.test", echo().await.address);
    let mut client = place.http1().await;
    for host in ["localhost", "127.0.0.1", &place.address.to_string(), "app.test.evil.test"] {
        let request = Request::get("/").header("host", host).body(empty()).unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), 502);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert!(text(response).await.contains("was not found"));
    }
    place.quiet().await;
}

#[tokio::test]
async fn a_closed_port_gets_the_words_of_the_hook() {
    let place = Place::new().await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    place.lead("app.test", free.local_addr().unwrap());
    drop(free);
    let response = place.http1().await.send_request(get("/")).await.unwrap();
    assert_eq!(response.status(), 502);
    assert_eq!(text(response).await, "port is not open\n");
    place.quiet().await;
}

#[tokio::test]
async fn the_upstream_may_get_another_host_and_other_headers() {
    let place = Place::before_echo().await;
    *place.table.change.lock().unwrap() = Some(|upstream| {
        upstream.host = Some("localhost:3000".to_owned());
        upstream.remove_headers = vec![HeaderName::from_static("e2b-traffic-access-token")];
        upstream.set_headers =
            vec![(HeaderName::from_static("x-added"), HeaderValue::from_static("yes"))];
    });
    let mut request = get("/");
    request.headers_mut().insert("e2b-traffic-access-token", "secret".parse().unwrap());
    let seen = text(place.http1().await.send_request(request).await.unwrap()).await;
    assert!(seen.contains("\nhost: localhost:3000\n"), "{seen}");
    assert!(seen.contains("\nx-added: yes\n"), "{seen}");
    assert!(!seen.contains("secret"), "{seen}");
}

#[tokio::test]
async fn http2_is_spoken_without_tls_too_and_becomes_http1_for_the_upstream() {
    let place = Place::before_echo().await;
    let mut client = place.http2().await;
    let request = Request::post("http://app.test/x")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(full("12345"))
        .unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.version(), hyper::Version::HTTP_2);
    let seen = text(response).await;
    assert!(seen.starts_with("POST /x HTTP/1.1\nhost: app.test\n"), "{seen}");
    assert!(seen.contains("\ncookie: a=1; b=2\n"), "{seen}");
    assert!(seen.ends_with("body 5\n"), "{seen}");
}

#[tokio::test]
async fn connections_to_an_upstream_are_kept_and_can_be_forgotten() {
    let place = Place::new().await;
    let server = echo().await;
    place.lead("app.test", server.address);
    let mut client = place.http1().await;
    for _ in 0..20 {
        text(client.send_request(post("/", full("x"))).await.unwrap()).await;
        client.ready().await.unwrap();
    }
    assert_eq!(server.accepted.load(Ordering::SeqCst), 1);
    assert_eq!(place.ingress.idle_connections(), 1);
    place.ingress.forget(&server.address.to_string());
    text(client.send_request(get("/")).await.unwrap()).await;
    assert_eq!(server.accepted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let place = Place::new().await;
    let server = serve(|request| async move {
        let collected = request.into_body().collect().await?;
        let sum = collected.trailers().unwrap()["x-sum"].clone();
        let mut trailers = hyper::HeaderMap::new();
        trailers.insert("x-back", sum);
        let body = full("data").with_trailers(async move { Some(Ok(trailers)) });
        let response = Response::builder().header("trailer", "x-back");
        Ok(response.header("transfer-encoding", "chunked").body(BodyExt::boxed(body)).unwrap())
    })
    .await;
    place.lead("app.test", server.address);
    let mut trailers = hyper::HeaderMap::new();
    trailers.insert("x-sum", "42".parse().unwrap());
    let body = full("data").with_trailers(async move { Some(Ok(trailers)) }).boxed();
    let mut request = post("/", body);
    // Only chunks can be followed by trailers.
    request.headers_mut().insert("transfer-encoding", "chunked".parse().unwrap());
    request.headers_mut().insert("trailer", "x-sum".parse().unwrap());
    request.headers_mut().insert("te", "trailers".parse().unwrap());
    let response = place.http1().await.send_request(request).await.unwrap();
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-back"], "42");
}

#[tokio::test]
async fn a_head_request_and_an_answer_without_body_keep_their_headers() {
    let place = Place::new().await;
    let server = serve(|request| async move {
        let response = Response::builder();
        Ok(match request.uri().path() {
            "/head" => response.header("content-length", "1000").body(empty()).unwrap(),
            "/304" => response.status(304).header("etag", "\"x\"").body(empty()).unwrap(),
            _ => response.status(204).body(empty()).unwrap(),
        })
    })
    .await;
    place.lead("app.test", server.address);
    let mut client = place.http1().await;
    let head = Request::head("/head").header("host", "app.test").body(empty()).unwrap();
    let response = client.send_request(head).await.unwrap();
    assert_eq!(response.headers()["content-length"], "1000");
    let response = client.send_request(get("/304")).await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["etag"]),
        (StatusCode::NOT_MODIFIED, &"\"x\"".parse().unwrap())
    );
    assert_eq!(client.send_request(get("/204")).await.unwrap().status(), 204);
    assert_eq!(server.accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_client_that_waits_for_100_gets_it_before_it_sends() {
    let place = Place::before_echo().await;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(place.address).await.unwrap();
    let head = b"POST / HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let first = read_head(&mut stream).await;
    assert_eq!(first, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"abc").await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 200 OK"), "{rest}");
    assert!(rest.contains("body 3"), "{rest}");
}

#[tokio::test]
async fn a_request_of_another_server_is_handled_by_the_same_rules() {
    let place = Place::before_echo().await;
    let peer = Peer { address: ([192, 0, 2, 7], 1).into(), tls: true };
    let response = place.ingress.handle(post("/x", full("123")), peer).await;
    assert_eq!(response.status(), 200);
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let seen = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(seen.contains("x-forwarded-for: 192.0.2.7\nx-forwarded-proto: https"), "{seen}");
    assert!(seen.ends_with("body 3\n"), "{seen}");
    place.quiet().await;
}

#[tokio::test]
async fn two_hundred_clients_at_once_are_all_answered() {
    let place = Place::before_echo().await;
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..200 {
        let stream = tokio::net::TcpStream::connect(place.address).await.unwrap();
        clients.spawn(async move {
            let mut client = http1_on(stream).await;
            for turn in 0..5 {
                let path = format!("/{number}/{turn}");
                let seen = text(client.send_request(get(&path)).await.unwrap()).await;
                assert!(seen.starts_with(&format!("GET {path} ")), "{seen}");
                client.ready().await.unwrap();
            }
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    assert_eq!(place.table.asked.load(Ordering::SeqCst), 1000);
    place.quiet().await;
}
