//! Bodies pass as they come, in both directions, however long they are.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use tokio::sync::mpsc;

use crate::support::*;

const MIB: usize = 1 << 20;

fn channel() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(1);
    let stream = futures_util::stream::poll_fn(move |cx| {
        receiver.poll_recv(cx).map(|piece| piece.map(|p| Ok::<_, Infallible>(Frame::data(p))))
    });
    (sender, BodyExt::boxed(StreamBody::new(stream)))
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test]
async fn each_event_of_an_answer_arrives_before_the_next_is_sent() {
    let place = Place::new().await;
    let (events, body) = channel();
    let body = Arc::new(std::sync::Mutex::new(Some(body)));
    let server = serve(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async move {
            Ok(Response::builder().header("content-type", "text/event-stream").body(body).unwrap())
        }
    })
    .await;
    place.lead("app.test", server.address);
    let response = place.http1().await.send_request(get("/")).await.unwrap();
    let mut body = response.into_body();
    for number in 0..5 {
        let event = Bytes::from(format!("data: {number}\n\n"));
        events.send(event.clone()).await.unwrap();
        let frame = tokio::time::timeout(LONG, body.frame()).await.unwrap().unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), event);
    }
    drop(events);
    assert!(body.frame().await.is_none());
    place.quiet().await;
}

#[tokio::test]
async fn an_upload_and_its_answer_may_run_side_by_side() {
    let place = Place::new().await;
    let server =
        serve(|request| async move { Ok(Response::new(echo_body(request.into_body()))) }).await;
    place.lead("app.test", server.address);
    for http2 in [false, true] {
        let (upload, body) = channel();
        let mut request = post("/", body);
        let response = if http2 {
            *request.uri_mut() = "http://app.test/".parse().unwrap();
            request.headers_mut().remove("host");
            place.http2().await.send_request(request).await.unwrap()
        } else {
            place.http1().await.send_request(request).await.unwrap()
        };
        let mut body = response.into_body();
        for _ in 0..5 {
            upload.send(Bytes::from_static(b"ping")).await.unwrap();
            let frame = tokio::time::timeout(LONG, body.frame()).await.unwrap().unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), "ping");
        }
        drop(upload);
        // HTTP/2 may end with an empty frame.
        let end = body.collect().await.unwrap().to_bytes();
        assert_eq!(end, "", "HTTP/2: {http2}");
    }
}

fn echo_body(mut body: hyper::body::Incoming) -> Body {
    let stream = futures_util::stream::poll_fn(move |cx| {
        use hyper::body::Body;
        std::pin::Pin::new(&mut body).poll_frame(cx).map(|frame| frame?.ok().map(Ok))
    });
    BodyExt::boxed(StreamBody::new(stream))
}

#[tokio::test]
async fn many_bytes_pass_in_both_directions_in_little_memory() {
    let place = Place::new().await;
    let server = serve(|request| async move {
        let mut body = request.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame?.into_data().map_or(0, |data| data.len());
        }
        let answer = pieces(Bytes::from(vec![7; MIB / 4]), length / (MIB / 4));
        Ok(Response::builder().header("x-length", length).body(answer).unwrap())
    })
    .await;
    place.lead("app.test", server.address);
    let mut client = place.http1().await;
    let before = resident();
    let body = pieces(Bytes::from(vec![5; MIB]), 256);
    let response = client.send_request(post("/", body)).await.unwrap();
    assert_eq!(response.headers()["x-length"], (256 * MIB).to_string().as_str());
    let mut body = response.into_body();
    let (mut length, mut most) = (0, 0);
    while let Some(frame) = body.frame().await {
        length += frame.unwrap().into_data().unwrap().len();
        most = most.max(resident());
    }
    assert_eq!(length, 256 * MIB);
    assert!(most.saturating_sub(before) < 48 * MIB, "{} MiB", (most - before) / MIB);
}

#[tokio::test]
async fn an_upstream_is_held_up_by_a_client_that_does_not_read() {
    let place = Place::new().await;
    let sent = Arc::new(AtomicU64::new(0));
    let count = sent.clone();
    let server = serve(move |_| {
        let count = count.clone();
        async move {
            let frames = (0..1000).map(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                Ok(Frame::data(Bytes::from(vec![0; MIB])))
            });
            Ok(Response::new(BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames)))))
        }
    })
    .await;
    place.lead("app.test", server.address);
    let response = place.http1().await.send_request(get("/")).await.unwrap();
    // Until nothing moves any more.
    let mut last = u64::MAX;
    while last != sent.load(Ordering::SeqCst) {
        last = sent.load(Ordering::SeqCst);
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    assert!(last < 100, "{last} MiB went out without a reader");
    drop(response);
    place.quiet().await;
}
