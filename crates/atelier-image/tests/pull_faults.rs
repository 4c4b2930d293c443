//! Pulling from peers that misbehave as real registries do on bad days. Each ends in an error of
//! its own, and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use atelier_image::{PullOptions, StoreOptions};
use support::archive::{GZIP, INDEX, MANIFEST, digest, manifest};
use support::fake::Fake;
use support::http::{Reply, Server};
use support::{Home, code, options, quiet};

fn always() -> PullOptions {
    PullOptions { always: true, ..PullOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_stalls_ends_in_an_error() {
    let options = || StoreOptions { read_timeout: Duration::from_millis(400), ..options() };
    // Accepts and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = format!("{}/x", silent.local_addr().unwrap());
    let pulled = Home::with(options()).store.pull(&name, &always(), &quiet).await;
    assert_eq!(code(pulled), "image.registry_stalled");

    // Says half of a layer.
    let fake = Fake::new();
    let slow = fake.blobs[0].clone();
    let server = Server::start(move |request| {
        if request.path.ends_with(&digest(&slow)) {
            return Reply::Stall(slow.len() as u64, slow[..slow.len() / 2].to_vec());
        }
        fake.answer(&request.path)
    })
    .await;
    let home = Home::with(options());
    let pulled = home.store.pull(&format!("{}/x", server.address), &always(), &quiet).await;
    assert_eq!(code(pulled), "image.registry_stalled");
    assert!(home.store.list().unwrap().is_empty());
}

/// Pulls from a server that answers some requests in its own way.
async fn pull_from(
    answer: impl Fn(&str, &Fake) -> Option<Reply> + Send + Sync + 'static,
) -> &'static str {
    let fake = Fake::new();
    let server = Server::start(move |request| {
        answer(&request.path, &fake).unwrap_or_else(|| fake.answer(&request.path))
    })
    .await;
    let home = Home::new();
    let code = code(home.store.pull(&format!("{}/x:1", server.address), &always(), &quiet).await);
    assert!(home.store.list().unwrap().is_empty());
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_a_registry_is_an_error_of_its_own() {
    for (status, expected) in [
        (401, "image.unauthorized"),
        (403, "image.unauthorized"),
        (404, "image.not_found"),
        (429, "image.registry_rate_limited"),
        (500, "image.registry_failed"),
    ] {
        assert_eq!(pull_from(move |_, _| Some(Reply::status(status))).await, expected, "{status}");
    }
    let to_manifest = |body: &'static str, kind: &'static str| {
        pull_from(move |path, _| path.contains("/manifests/").then(|| Reply::ok(kind, body)))
    };
    assert_eq!(to_manifest("<html>", "text/html").await, "image.invalid");
    assert_eq!(
        to_manifest(r#"{"schemaVersion": 1, "fsLayers": []}"#, "").await,
        "image.unsupported_media_type"
    );
    let both = r#"{"schemaVersion": 2, "manifests": [], "layers": [], "config":
        {"digest": "sha256:0", "size": 1}}"#;
    assert_eq!(to_manifest(both, INDEX).await, "image.invalid");
    assert_eq!(
        to_manifest(r#"{"schemaVersion": 2, "manifests": []}"#, INDEX).await,
        "image.wrong_platform"
    );
    let endless = pull_from(|path, _| {
        path.contains("/manifests/").then(|| Reply::ok(MANIFEST, vec![b' '; 5 << 20]))
    });
    assert_eq!(endless.await, "image.invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_that_are_not_what_they_should_be_are_refused() {
    let blob = |path: &str, fake: &Fake| path.ends_with(&digest(&fake.blobs[1]));
    let cut = move |path: &str, fake: &Fake| {
        let whole = &fake.blobs[1];
        let half = whole[..whole.len() / 2].to_vec();
        blob(path, fake).then_some(Reply::CutOff(whole.len() as u64, half))
    };
    assert_eq!(pull_from(cut).await, "image.truncated");
    let short = move |path: &str, fake: &Fake| {
        blob(path, fake).then(|| Reply::ok("", fake.blobs[1][..9].to_vec()))
    };
    assert_eq!(pull_from(short).await, "image.truncated");
    let long = move |path: &str, fake: &Fake| {
        blob(path, fake).then(|| Reply::ok("", [&fake.blobs[1][..], b"more"].concat()))
    };
    assert_eq!(pull_from(long).await, "image.invalid");
    let other = move |path: &str, fake: &Fake| {
        blob(path, fake).then(|| Reply::ok("", vec![0; fake.blobs[1].len()]))
    };
    assert_eq!(pull_from(other).await, "image.digest_mismatch");
    let missing = move |path: &str, fake: &Fake| blob(path, fake).then(|| Reply::status(404));
    assert_eq!(pull_from(missing).await, "image.registry_failed");
    let config = |path: &str, fake: &Fake| {
        path.ends_with(&digest(&fake.config)).then(|| Reply::ok("", "{}"))
    };
    assert_eq!(pull_from(config).await, "image.digest_mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_of_other_kinds_are_refused() {
    for (kind, expected) in [
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "image.foreign_layer"),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "image.foreign_layer"),
        ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "image.unsupported_media_type"),
        ("application/vnd.oci.image.layer.v1.tar+encrypted", "image.unsupported_media_type"),
    ] {
        let answer = move |path: &str, fake: &Fake| {
            let bytes = manifest(&fake.config, &fake.blobs, kind);
            path.contains("/manifests/").then(|| Reply::ok(MANIFEST, bytes))
        };
        assert_eq!(pull_from(answer).await, expected);
    }
    let fewer = |path: &str, fake: &Fake| {
        let bytes = manifest(&fake.config, &fake.blobs[..2], GZIP);
        path.contains("/manifests/").then(|| Reply::ok(MANIFEST, bytes))
    };
    assert_eq!(pull_from(fewer).await, "image.invalid");
    let swapped = |path: &str, fake: &Fake| {
        let mut blobs = fake.blobs.clone();
        blobs.swap(0, 1);
        let bytes = manifest(&fake.config, &blobs, GZIP);
        path.contains("/manifests/").then(|| Reply::ok(MANIFEST, bytes))
    };
    assert_eq!(pull_from(swapped).await, "image.digest_mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_nobody_waits_for_ends_and_leaves_nothing() {
    let fake = Fake::new();
    let server = Server::start(move |request| match request.path.contains("/blobs/") {
        true if !request.path.ends_with(&digest(&fake.config)) => Reply::Stall(1000, vec![0; 10]),
        _ => fake.answer(&request.path),
    })
    .await;
    let home = Home::new();
    let name = format!("{}/x", server.address);
    let limit = Duration::from_millis(500);
    let options = always();
    assert!(tokio::time::timeout(limit, home.store.pull(&name, &options, &quiet)).await.is_err());
    for _ in 0..200 {
        if home.leftovers().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:?}", home.leftovers());
}
