//! An ordinary user's Podman, whose containers have addresses in a namespace of that user's.

use std::io::Read;
use std::net::SocketAddr;

use crate::support::{Lab, connect, containers};

/// Without bind mounts: that user can't read the test's folder.
const SHOP: &str = r#"
services:
  db:
    image: atelier-test:1
    command: ["sh", "-c", "echo $$HOSTNAME > /tmp/who; exec nc -ll -p 5432 -e cat /tmp/who"]
    expose: ["5432"]
    stop_grace_period: 0s
  api:
    image: atelier-test:1
    command: ["sh", "-c", "echo hello > /tmp/index.html; exec httpd -f -p 3000 -h /tmp"]
    ports: ["3000:3000"]
    depends_on: [db]
    stop_grace_period: 0s
    labels: {atelier.ingress: "true"}
"#;

fn said_at(address: &str) -> String {
    let at: SocketAddr = address.trim().parse().unwrap();
    assert!(at.ip().is_loopback(), "{at}");
    let mut said = String::new();
    connect(&at.to_string()).read_to_string(&mut said).unwrap();
    said
}

#[test]
fn services_are_found_to_be_out_of_reach_and_reached_all_the_same() {
    let lab = Lab::with_rootless_podman("shop", SHOP);
    let doctor = lab.run(&["doctor"]).stdout;
    assert!(doctor.contains("services are reached at ports of 127.0.0.1"), "{doctor}");
    let script = "busybox wget -q -O - http://api:3000/; busybox wget -q -O - http://shop.a1.test/; \
        busybox nc db 5432 </dev/null";
    let said = lab.ok(&["run", "a1", "--", "sh", "-c", script]);
    assert!(said.starts_with("hello\nhello\n") && said.lines().count() == 3, "{said}");
    let who = said_at(&lab.ok(&["env", "url", "a1", "db", "5432"]));
    assert_eq!(Some(who.trim()), said.lines().last());
    lab.ok(&["env", "restart", "a1", "db"]);
    assert_eq!(said_at(&lab.ok(&["env", "url", "a1", "db", "5432"])), who);
    let again = lab.ok(&["run", "a1", "--", "busybox", "nc", "db", "5432"]);
    assert_eq!(again, who);
    let id = lab.json(&["env", "show", "a1"])["id"].as_str().unwrap().to_owned();
    lab.ok(&["env", "rm", "--yes", "a1"]);
    assert!(containers(&format!("dev.atelier.environment={id}")).is_empty());
}
