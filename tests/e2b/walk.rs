//! What users do with the SDKs, from commands and files to pause, forks and ports: one walk in each
//! language, for a release of the time of E2B's public test-suite and the newest one tested.

use super::sdk::{Service, node, npm, ours, python, succeed};

const SUITE_PYTHON: &str = "e2b==2.45.1";
const NEWEST_PYTHON: &str = "e2b==2.63.0";
const SUITE_JS: &str = "e2b@2.45.0";
const NEWEST_JS: &str = "e2b@2.51.0";

#[test]
fn the_python_sdk_by_urls_of_plain_http() {
    for release in [SUITE_PYTHON, NEWEST_PYTHON] {
        let python = python(&[release]);
        let service = Service::start();
        walked(&succeed(service.by_url(&python).arg(ours("sdk/walk.py")), release));
        service.left_nothing();
    }
}

#[test]
fn the_python_sdk_by_a_domain_over_tls() {
    let python = python(&[NEWEST_PYTHON]);
    let service = Service::start();
    walked(&succeed(service.by_domain(&python).arg(ours("sdk/walk.py")), NEWEST_PYTHON));
    service.left_nothing();
}

#[test]
fn the_js_sdk_by_urls_of_plain_http() {
    for release in [SUITE_JS, NEWEST_JS] {
        let sdk = npm(release);
        let service = Service::start();
        let mut node = service.by_url(&node());
        walked(&succeed(node.arg(ours("sdk/walk.mjs")).arg(sdk), release));
        service.left_nothing();
    }
}

#[test]
fn the_js_sdk_by_a_domain_over_tls() {
    let sdk = npm(NEWEST_JS);
    let service = Service::start();
    let mut node = service.by_domain(&node());
    walked(&succeed(node.arg(ours("sdk/walk.mjs")).arg(sdk), NEWEST_JS));
    service.left_nothing();
}

fn walked(said: &str) {
    assert_eq!(said.trim(), "walked");
}
