//! Programs as they are: the C library's resolver, with a `resolv.conf` that names our server, in
//! namespaces of its own. Needs root; without it says so.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::IpAddr;
use std::process::Command;

use atelier_dns::{Options, Record, Server, Zone};
use nix::sched::{CloneFlags, unshare};

/// Runs a program with a `resolv.conf` of its own. Its output.
fn with_resolver(conf: &str, command: &[&str]) -> String {
    let script = r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#;
    let output = Command::new("unshare")
        .args(["--mount", "timeout", "30", "sh", "-c", script, conf])
        .args(command)
        .output()
        .expect("unshare");
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn zone() -> Zone {
    let zone = Zone::new(["test"]).unwrap();
    let addresses: [IpAddr; 2] = ["10.201.0.3".parse().unwrap(), "fd00:a7e1::3".parse().unwrap()];
    let many = (0..100).map(|n| IpAddr::from([10, 201, 1, n]));
    let records = vec![
        Record::new("api.agent-1.test", addresses).with_pointer(),
        Record::new("many.test", many),
    ];
    zone.set("x", records).unwrap();
    zone
}

#[test]
fn programs_find_names_through_the_c_library() {
    // Only this thread, and what it starts, is in the new namespace.
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
        eprintln!("skipped: a network namespace needs root: {error}");
        return;
    }
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
    let conf = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(conf.path(), "nameserver 127.0.0.1\noptions timeout:5 attempts:1\n").unwrap();
    let conf = conf.path().to_str().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = Options {
            listen: vec!["127.0.0.1:53".parse().unwrap()],
            reverse: vec!["10.201.0.0/16".parse().unwrap()],
            ..Options::default()
        };
        let server = Server::start(zone(), options).await.unwrap();
        let asking = ask_beside(conf).await;
        let [name, back, many, nothing] = asking;
        assert!(name.contains("10.201.0.3") && name.contains("fd00:a7e1::3"), "{name}");
        assert!(back.contains("api.agent-1.test"), "{back}");
        let addresses = many.lines().filter(|line| line.contains("STREAM")).count();
        assert_eq!(addresses, 100, "by TCP: {many}");
        assert_eq!(nothing, "");
        server.stop().await;
    });
}

/// Asks from another thread in the same namespace, while this one serves.
async fn ask_beside(conf: &str) -> [String; 4] {
    let conf = conf.to_owned();
    // A thread is born into the namespaces of the one that makes it.
    let thread = std::thread::spawn(move || {
        [
            with_resolver(&conf, &["getent", "ahosts", "API.agent-1.test"]),
            with_resolver(&conf, &["getent", "hosts", "10.201.0.3"]),
            with_resolver(&conf, &["getent", "ahosts", "many.test"]),
            with_resolver(&conf, &["getent", "ahosts", "nowhere.test"]),
        ]
    });
    while !thread.is_finished() {
        tokio::task::yield_now().await;
    }
    thread.join().unwrap()
}
