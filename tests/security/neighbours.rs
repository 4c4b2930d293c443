//! Out through the network and the home: the control plane, other sandboxes, this machine.

use crate::support::{Lab, greeter};

#[test]
fn the_home_and_its_socket_are_not_seen() {
    let lab = Lab::with_image();
    let home = lab.home();
    let home = home.display();
    for runtime in ["oci", "host"] {
        let id = lab.json(&["sandbox", "create", "--runtime", runtime])["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let script = format!(
            "ls -A {home} 2>/dev/null; cat {home}/keys/api {home}/state.db 2>/dev/null; \
             find / -xdev \\( -name atelier.sock -o -name state.db \\) 2>/dev/null | grep {home}; true"
        );
        assert_eq!(lab.sh(&id, &script), "", "{runtime}");
        let mounts = lab.sh(&id, "cat /proc/self/mountinfo");
        let keys =
            lab.sh(&id, &format!("find / -xdev -name ca.key 2>/dev/null | grep {home}; true"));
        assert!(!mounts.contains("atelier.sock") && keys.is_empty(), "{runtime}: {mounts} {keys}");
    }
}

#[test]
fn what_listens_on_this_machines_loopback_is_not_reached() {
    let lab = Lab::with_image();
    let api: u16 = lab.serve_tcp().rsplit_once(':').unwrap().1.parse().unwrap();
    let addresses = lab.addresses();
    let port = |address: &str| address.rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    let id = lab.sandbox(&["--network", "open"]);
    for port in [greeter(), api, port(&addresses.ingress), port(&addresses.ssh)] {
        for host in [
            "127.0.0.1",
            "localhost",
            "host.atelier.internal",
            "0.0.0.0",
            "[::1]",
            "::ffff:127.0.0.1",
        ] {
            let done = lab.try_sh(&id, &format!("echo | nc -w 3 {host} {port}"));
            assert!(done.code != 0 && done.stdout.is_empty(), "{host}:{port}: {done:?}");
        }
    }
}

#[test]
fn an_address_that_a_name_gives_is_held_to_the_same_rules() {
    let lab = Lab::with_image();
    let port = greeter();
    let id = lab.sandbox(&["--network", "open"]);
    // Its own /etc/hosts may say what it likes.
    lab.sh(&id, "echo '127.0.0.1 sneaky.test' >> /etc/hosts; echo '169.254.169.254 meta.test' >> /etc/hosts");
    assert_eq!(lab.try_sh(&id, &format!("nc -w 3 sneaky.test {port} </dev/null")).stdout, "");
    assert_ne!(lab.try_sh(&id, "nc -w 3 meta.test 80 </dev/null").code, 0);
}

#[test]
fn processes_of_another_sandbox_are_not_seen_or_signalled() {
    let lab = Lab::with_image();
    let (one, two) = (lab.sandbox(&[]), lab.sandbox(&[]));
    lab.detach(&one, "exec sleep 4321");
    assert!(!lab.sh(&two, "ps").contains("4321"));
    lab.sh(&two, "for n in $(seq 2 40000); do [ $n = $$ ] || kill -9 $n 2>/dev/null; done; true");
    assert!(lab.sh(&one, "ps").contains("4321"));
}

#[test]
fn shared_memory_and_queues_are_a_sandboxs_own() {
    let lab = Lab::with_image();
    let (one, two) = (lab.sandbox(&[]), lab.sandbox(&[]));
    lab.sh(&one, "echo secret > /dev/shm/secret; mkfifo /tmp/secret; echo secret > /run/secret");
    assert_eq!(lab.sh(&two, "find / -xdev -name secret; ls /dev/shm /run | grep secret; true"), "");
    assert_eq!(lab.sh(&two, "tail -n +2 /proc/sysvipc/shm; tail -n +2 /proc/sysvipc/msg"), "");
}
