//! `atelier sandbox forward` and `port`.

use std::io::{BufRead, BufReader, Read, Write};

use crate::support::{Lab, ask, connect};

#[test]
fn a_port_of_this_machine_leads_into_a_sandbox() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    lab.web_server(&id, 8000, "forwarded");
    let mut forward = lab.spawn(&["sandbox", "forward", &id, "0:8000", "0:9"]);
    let mut lines = BufReader::new(forward.stdout.take().unwrap()).lines();
    let mut address = || lines.next().unwrap().unwrap().split(' ').next().unwrap().to_owned();
    let (open, closed) = (address(), address());
    for _ in 0..3 {
        assert_eq!(ask(&open, "GET", "/", &[]).body, "forwarded");
    }
    let mut stream = connect(&closed);
    let _ = stream.write_all(b"x");
    assert_eq!(stream.read(&mut [0; 8]).unwrap_or(0), 0, "nothing listens on port 9");
    forward.kill().unwrap();
    forward.wait().unwrap();
}

#[test]
fn open_ports_are_listed_with_their_urls() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    assert_eq!(lab.json(&["sandbox", "port", &id]), serde_json::json!([]));
    lab.web_server(&id, 8000, "page");
    let open = lab.json(&["sandbox", "port", &id]);
    assert_eq!(open[0]["port"], 8000);
    assert!(open[0]["url"].as_str().unwrap().contains(&format!("8000-{id}.localhost")), "{open}");
}
