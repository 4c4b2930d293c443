//! TLS with the local authority, and with files.

use std::sync::Arc;

use atelier_ingress::{LocalCa, Names, Options, TlsConfig};
use hyper::Request;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::*;

async fn place(ca: &Arc<LocalCa>) -> Place {
    let tls = TlsConfig::local(ca.clone()).unwrap();
    let place = Place::with(Options::default(), Some(tls)).await;
    place.lead("3000-abc.sandboxes.test", echo().await.address);
    place
}

fn ca(folder: &tempfile::TempDir) -> Arc<LocalCa> {
    Arc::new(LocalCa::open(&folder.path().join("keys"), Names::of(["sandboxes.test"])).unwrap())
}

async fn connect(
    place: &Place,
    trusted: &str,
    name: &str,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TcpStream::connect(place.address).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_speaks_either_http() {
    let folder = tempfile::tempdir().unwrap();
    let ca = ca(&folder);
    let place = place(&ca).await;
    let name = "3000-abc.sandboxes.test";
    let stream = connect(&place, ca.ca_pem(), name, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let request = Request::get(format!("https://{name}/x")).body(empty()).unwrap();
    let seen = text(http2_on(stream).await.send_request(request).await.unwrap()).await;
    assert!(seen.contains("x-forwarded-proto: https\n"), "{seen}");
    for protocols in [&["http/1.1"][..], &[]] {
        let stream = connect(&place, ca.ca_pem(), name, protocols).await.unwrap();
        let request = Request::get("/x").header("host", name).body(empty()).unwrap();
        let seen = text(http1_on(stream).await.send_request(request).await.unwrap()).await;
        assert!(seen.contains("x-forwarded-proto: https\n"), "{seen}");
    }
}

#[tokio::test]
async fn names_outside_the_domains_get_no_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let ca = ca(&folder);
    let place = place(&ca).await;
    for name in ["sandboxes.test", "any.sandboxes.test", "localhost", "127.0.0.1"] {
        assert!(connect(&place, ca.ca_pem(), name, &[]).await.is_ok(), "{name}");
    }
    for name in ["evil.test", "a.b.sandboxes.test", "notsandboxes.test", "x.localhost"] {
        assert!(connect(&place, ca.ca_pem(), name, &[]).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_client_that_trusts_another_authority_does_not_talk() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let place = place(&ca(&one)).await;
    let other = ca(&two);
    assert!(connect(&place, other.ca_pem(), "x.sandboxes.test", &[]).await.is_err());
}

/// Makes a pair of files for a name, signed by an authority of its own, and tells what to trust.
fn pair(folder: &std::path::Path, name: &str) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let own =
        rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), own.pem()).unwrap();
    own.pem()
}

#[tokio::test]
async fn given_files_are_used_and_read_again_when_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let old = pair(folder.path(), "old.test");
    let tls = TlsConfig::files(&cert, &key).unwrap();
    let place = Place::with(Options::default(), Some(tls)).await;
    connect(&place, &old, "old.test", &[]).await.unwrap();
    // Half of a new pair changes nothing.
    let kept = std::fs::read(&key).unwrap();
    let new = pair(folder.path(), "new.test");
    let written = std::fs::read(&key).unwrap();
    std::fs::write(&key, kept).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    connect(&place, &old, "old.test", &[]).await.unwrap();
    std::fs::write(&key, written).unwrap();
    let mut changed = false;
    for _ in 0..100 {
        changed = connect(&place, &new, "new.test", &[]).await.is_ok();
        if changed {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(changed);
}

#[test]
fn files_that_are_no_pair_or_nothing_are_refused_with_a_reason() {
    use atelier_api::Fault;
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let code = || TlsConfig::files(&cert, &key).err().unwrap().code();
    assert_eq!(code(), "ingress.key_file");
    pair(folder.path(), "a.test");
    let kept = std::fs::read(&key).unwrap();
    pair(folder.path(), "a.test");
    std::fs::write(&key, kept).unwrap();
    assert_eq!(code(), "ingress.key_mismatch");
    std::fs::write(&cert, "nothing").unwrap();
    assert_eq!(code(), "ingress.key_content");
}
