//! What the guest serves beside processes and files.

use std::collections::BTreeMap;

use atelier_api::Fault;
use atelier_guest::client::Guest;
use atelier_guest::wire::InitRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Running, run};

#[tokio::test]
async fn a_guest_is_well_or_cannot_be_reached() {
    let mut running = Running::start();
    running.guest.health().await.unwrap();
    running.stop();
    let error = running.guest.health().await.unwrap_err();
    assert_eq!(error.code(), "guest.unreachable");
}

#[tokio::test]
async fn a_socket_whose_path_is_too_long_for_an_address_is_reached_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    // The server is told a short way to the same place.
    let short = folder.path().join("s");
    std::os::unix::fs::symlink(&deep, &short).unwrap();
    let running = Running::start_at(folder, short.join("guest.sock"), &[]);
    Guest::new(deep.join("guest.sock")).health().await.unwrap();
    drop(running);
}

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways_and_a_closed_port_is_told() {
    let running = Running::start();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        bytes.reverse();
        stream.write_all(&bytes).await.unwrap();
    });
    assert!(running.guest.listening().await.unwrap().iter().any(|it| it.port == port));
    let mut tunnel = running.guest.tunnel(port).await.unwrap();
    tunnel.write_all(b"abc").await.unwrap();
    tunnel.shutdown().await.unwrap();
    let mut back = String::new();
    tunnel.read_to_string(&mut back).await.unwrap();
    assert_eq!(back, "cba");
    let error = running.guest.tunnel(port).await.unwrap_err();
    assert_eq!(error.code(), "guest.port_not_open");
    assert!(error.to_string().contains("port is not open"));
}

#[tokio::test]
async fn settings_of_a_running_guest_can_be_changed() {
    let running = Running::start();
    let settings = InitRequest {
        env_vars: Some(BTreeMap::from([("FROM_INIT".into(), "yes".into())])),
        default_workdir: Some("/".into()),
        ..Default::default()
    };
    running.guest.init(&settings).await.unwrap();
    assert_eq!(run(&running.guest, "echo $FROM_INIT $PWD").await.text(), "yes /\n");
}

#[tokio::test]
async fn a_guest_with_a_token_answers_to_those_who_show_it() {
    let running = Running::start_with(&["--token-env", "GUEST_TEST_TOKEN"]);
    running.guest.health().await.unwrap();
    let error = running.guest.list(false).await.unwrap_err();
    assert_eq!(error.code(), "guest.not_permitted");
    let error = running.guest.read("/etc/hostname").await.unwrap_err();
    assert_eq!(error.code(), "guest.not_permitted");
    let settings = InitRequest { access_token: Some("mine".into()), ..Default::default() };
    let error = running.guest.init(&settings).await.unwrap_err();
    assert_eq!(error.code(), "guest.not_permitted");
    let known = running.guest.clone().with_token("secret");
    known.list(false).await.unwrap();
    known.read("/etc/passwd").await.unwrap();
}

#[tokio::test]
async fn metrics_are_of_this_machine() {
    let running = Running::start();
    let metrics = running.guest.metrics().await.unwrap();
    assert!(metrics.cpu_count > 0 && metrics.mem_total > metrics.mem_used && metrics.mem_used > 0);
    assert!(metrics.disk_total >= metrics.disk_used);
}
