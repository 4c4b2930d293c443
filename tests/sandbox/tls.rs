//! The ingress over TLS, with certificates of the home's own authority.

use std::process::Command;

use crate::support::{Done, Lab};

#[test]
fn a_client_that_trusts_the_homes_authority_reaches_every_sandbox() {
    let lab = Lab::with_image();
    lab.ok(&["stop"]);
    let mut serve = lab.command(&["serve", "--background"]);
    assert_eq!(Done::of(serve.env("ATELIER_TLS", "127.0.0.1:0").output().unwrap()).code, 0);
    let tls = lab.addresses().tls;
    let port = tls.rsplit_once(':').unwrap().1;
    let authority = lab.home().join("keys/ca.pem");
    for _ in 0..2 {
        let id = lab.sandbox(&["--public"]);
        lab.web_server(&id, 8000, "over TLS");
        let url = lab.ok(&["sandbox", "port", &id, "8000"]).trim().to_owned();
        assert_eq!(url, format!("https://8000-{id}.localhost:{port}"));
        let curl = |options: &[&str]| {
            let name = format!("8000-{id}.localhost:{port}:127.0.0.1");
            let curl = Command::new("curl")
                .args(["-sS", "--max-time", "20", "--noproxy", "*", "--resolve", &name])
                .args(options)
                .arg(&url)
                .output();
            Done::of(curl.unwrap())
        };
        let trusting = curl(&["--cacert", authority.to_str().unwrap()]);
        assert_eq!(trusting.stdout, "over TLS", "{trusting:?}");
        assert_eq!(curl(&[]).code, 60, "nobody else trusts it");
    }
}
