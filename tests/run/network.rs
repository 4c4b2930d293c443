//! The network: open by default, cut off, or only what is allowed. Servers of these tests listen on
//! the host's loopback, which a sandbox reaches at `host.atelier.internal` only when it is granted.

use crate::support::{Lab, greeter};

fn dial(host: &str, port: u16) -> String {
    format!(
        "import socket\ntry: print(socket.create_connection(('{host}', {port}), 5).recv(99).decode())\n\
         except OSError as e: print('refused:', e)"
    )
}

#[test]
fn the_hosts_loopback_is_another_one() {
    let lab = Lab::new();
    let port = greeter();
    for host in ["127.0.0.1", "host.atelier.internal", "198.51.100.1"] {
        let said = lab.ok(&["run", "a", "--", "python3", "-c", &dial(host, port)]);
        assert!(said.starts_with("refused:"), "{host}: {said}");
    }
}

#[test]
fn a_granted_port_of_the_host_is_reached_and_another_is_not() {
    let lab = Lab::new();
    let (granted, other) = (greeter(), greeter());
    let rule = format!("localhost:{granted}");
    let run = |port| {
        lab.ok(&[
            "run",
            "a",
            "--allow",
            &rule,
            "--",
            "python3",
            "-c",
            &dial("host.atelier.internal", port),
        ])
    };
    assert_eq!(run(granted), "greetings\n");
    assert!(run(other).starts_with("refused:"));
}

#[test]
fn cloud_metadata_is_not_reached() {
    let lab = Lab::new();
    let said = lab.ok(&["run", "a", "--", "python3", "-c", &dial("169.254.169.254", 80)]);
    assert!(said.starts_with("refused:"), "{said}");
}

#[test]
fn none_means_loopback_only() {
    let lab = Lab::new();
    let devices = lab.ok(&["run", "a", "--network", "none", "--", "cat", "/proc/net/dev"]);
    let names: Vec<_> =
        devices.lines().skip(2).filter_map(|l| l.split(':').next()).map(str::trim).collect();
    assert_eq!(names, ["lo"]);
    let own = "import socket\ns=socket.create_server(('127.0.0.1',9)); print('up')";
    assert_eq!(lab.ok(&["run", "a", "--", "python3", "-c", own]), "up\n");
}

#[test]
fn a_rule_that_is_none_is_refused_before_anything_is_made() {
    let lab = Lab::new();
    lab.run(&["run", "a", "--allow", "http://x/", "--", "true"])
        .fails(2, &["http://x/", "host:port"]);
    assert!(lab.json(&["env", "ls"]).as_array().unwrap().is_empty());
}
