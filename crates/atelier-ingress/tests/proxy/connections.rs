//! How connections of clients end, and how a proxy stops.

use std::sync::Arc;
use std::time::Duration;

use atelier_ingress::Options;
use hyper::Response;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::*;

#[tokio::test]
async fn a_connection_without_requests_is_closed_after_a_while() {
    let options = Options {
        client_idle: Duration::from_millis(300),
        head_time: Duration::from_millis(200),
        ..Options::default()
    };
    let place = Place::with(options, None).await;
    place.lead("app.test", echo().await.address);
    let mut http1 = place.http1().await;
    text(http1.send_request(get("/")).await.unwrap()).await;
    let http2 = place.http2().await;
    eventually(|| http1.is_closed() && http2.is_closed()).await;
}

#[tokio::test]
async fn a_stop_lets_requests_end_and_closes_what_is_idle() {
    let place = Place::new().await;
    let go = Arc::new(Notify::new());
    let begun = Arc::new(Notify::new());
    let (wait, tell) = (go.clone(), begun.clone());
    let server = serve(move |_| {
        let (wait, tell) = (wait.clone(), tell.clone());
        async move {
            tell.notify_one();
            wait.notified().await;
            Ok(Response::new(full("done")))
        }
    })
    .await;
    place.lead("app.test", server.address);
    let mut idle = TcpStream::connect(place.address).await.unwrap();
    let mut client = place.http1().await;
    let answer =
        tokio::spawn(async move { text(client.send_request(get("/")).await.unwrap()).await });
    begun.notified().await;
    place.stop.cancel();
    eventually(|| std::net::TcpStream::connect(place.address).is_err()).await;
    assert!(!place.served.is_finished());
    go.notify_one();
    assert_eq!(answer.await.unwrap(), "done");
    tokio::time::timeout(LONG, place.served).await.unwrap().unwrap();
    assert_eq!(idle.read(&mut [0; 10]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_stop_does_not_wait_longer_than_its_grace() {
    let options = Options { grace: Duration::from_millis(100), ..Options::default() };
    let place = Place::with(options, None).await;
    let begun = Arc::new(Notify::new());
    let tell = begun.clone();
    let server = serve(move |_| {
        tell.notify_one();
        std::future::pending()
    })
    .await;
    place.lead("app.test", server.address);
    let mut client = place.http1().await;
    let answer = tokio::spawn(async move { client.send_request(get("/")).await });
    begun.notified().await;
    place.stop.cancel();
    tokio::time::timeout(LONG, place.served).await.unwrap().unwrap();
    assert!(answer.await.unwrap().is_err());
    let table = place.table.clone();
    eventually(|| table.open.load(std::sync::atomic::Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn more_clients_than_allowed_wait_for_their_turn() {
    let options = Options { connections: 1, ..Options::default() };
    let place = Place::with(options, None).await;
    place.lead("app.test", echo().await.address);
    let mut first = place.http1().await;
    text(first.send_request(get("/1")).await.unwrap()).await;
    let mut second = place.http1().await;
    let waiting =
        tokio::spawn(async move { text(second.send_request(get("/2")).await.unwrap()).await });
    first.ready().await.unwrap();
    text(first.send_request(get("/3")).await.unwrap()).await;
    assert!(!waiting.is_finished());
    drop(first);
    assert!(waiting.await.unwrap().starts_with("GET /2 "));
}
