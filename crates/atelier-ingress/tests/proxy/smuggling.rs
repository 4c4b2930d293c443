//! Requests that two servers could read in two ways are nobody's requests.

use std::sync::atomic::Ordering;

use crate::support::*;

async fn refused(bytes: &str) {
    let place = Place::before_echo().await;
    let answer = place.raw(bytes.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{bytes:?} got {answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{bytes:?} got {answer}");
    assert_eq!(place.table.asked.load(Ordering::SeqCst), 0, "{bytes:?}");
}

#[tokio::test]
async fn a_length_given_in_two_ways_is_refused_in_either_order() {
    let rest = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n";
    refused(&format!(
        "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{rest}"
    ))
    .await;
    refused(&format!(
        "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n{rest}"
    ))
    .await;
}

#[tokio::test]
async fn it_is_refused_on_a_connection_that_has_served_before() {
    let place = Place::before_echo().await;
    let answer = place
        .raw(
            b"POST /one HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\nab\
              POST /two HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        )
        .await;
    assert!(answer.contains("HTTP/1.1 400"), "{answer}");
    assert!(!answer.contains("POST /two"), "{answer}");
}

#[tokio::test]
async fn broken_lengths_and_encodings_are_refused() {
    for headers in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
        "Content-Length: 5, 5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        " Transfer-Encoding: chunked",
        "X: 1\r\n folded: 2",
        "Trans\0fer: 1",
    ] {
        refused(&format!("POST / HTTP/1.1\r\nHost: app.test\r\n{headers}\r\n\r\n12345")).await;
    }
    refused("POST / HTTP/1.0\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        .await;
}

#[tokio::test]
async fn a_request_has_one_valid_host() {
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: app.test\r\nHost: app.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: app.test\r\nHost: other.test\r\n\r\n",
        "GET http://app.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@app.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: app.test/x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: app.test:x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "CONNECT app.test:443 HTTP/1.1\r\nHost: app.test:443\r\n\r\n",
    ] {
        // A connection that is kept is closed by its client.
        let request = request.replacen(" HTTP/1.1\r\n", " HTTP/1.1\r\nConnection: close\r\n", 1);
        refused(&request).await;
    }
}

#[tokio::test]
async fn a_chunked_body_with_encodings_of_its_own_is_sent_on_as_what_it_is() {
    let place = Place::before_echo().await;
    let answer = place
        .raw(
            b"POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
              3;ext=1\r\nabc\r\n0\r\n\r\n",
        )
        .await;
    assert!(answer.contains("transfer-encoding: chunked\n"), "{answer}");
    let (_, seen) = answer.split_once("\r\n\r\n").unwrap();
    assert!(!seen.contains("content-length"), "{seen}");
    assert!(seen.contains("body 3"), "{seen}");
}

#[tokio::test]
async fn a_chunk_size_that_is_none_breaks_the_request() {
    for chunk in
        ["zz\r\n", "-1\r\nx", "3\nabc\n0\n\n", "FFFFFFFFFFFFFFFFF\r\nx", "3 4\r\nabc\r\n0\r\n\r\n"]
    {
        let place = Place::before_echo().await;
        let request = format!(
            "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"
        );
        let answer = place.raw(request.as_bytes()).await;
        assert!(!answer.contains("HTTP/1.1 200"), "{chunk:?}: {answer}");
        place.quiet().await;
    }
}

#[tokio::test]
async fn an_upgrade_to_the_other_http_is_not_passed_on() {
    let place = Place::before_echo().await;
    let answer = place
        .raw(
            b"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\
              Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(!answer.contains("h2c") && !answer.contains("http2-settings"), "{answer}");
}

#[tokio::test]
async fn heads_have_a_largest_size() {
    let place = Place::before_echo().await;
    let request = |size: usize| {
        let value = "v".repeat(size);
        format!("GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nX-Large: {value}\r\n\r\n")
    };
    let answer = place.raw(request(60 << 10).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{}", &answer[..answer.len().min(100)]);
    let answer = place.raw(request(70 << 10).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{}", &answer[..answer.len().min(100)]);
    assert_eq!(place.table.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_upstream_cannot_smuggle_an_answer_either() {
    let place = Place::new().await;
    let server = raw_server(|mut stream| async move {
        use tokio::io::AsyncWriteExt;
        read_head(&mut stream).await;
        stream
            .write_all(
                b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n\
                  HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            )
            .await
            .unwrap();
        read_head(&mut stream).await;
    })
    .await;
    place.lead("app.test", server.address);
    let mut client = place.http1().await;
    for _ in 0..3 {
        // The rest is never taken for the answer to another request.
        let response = client.send_request(get("/")).await.unwrap();
        assert!(!response.headers().contains_key("content-length"));
        assert_eq!(text(response).await, "ok");
        client.ready().await.unwrap();
    }
}
