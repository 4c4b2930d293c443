//! Out through the network and the home: the control plane, other sandboxes, this machine.

use super::{in_each_runtime, sandbox};
use crate::support::{Lab, greeter};

fn the_home_and_its_socket_are_not_seen(runtime: &str) {
    let lab = Lab::with_runtime(runtime);
    let home = lab.home();
    let home = home.display();
    let id = sandbox(&lab, runtime);
    let script = format!(
        "ls -A {home} 2>/dev/null; cat {home}/keys/api {home}/state.db 2>/dev/null; \
         find / -xdev \\( -name atelier.sock -o -name state.db \\) 2>/dev/null | grep {home}; true"
    );
    assert_eq!(lab.sh(&id, &script), "");
    let mounts = lab.sh(&id, "cat /proc/self/mountinfo");
    let keys = lab.sh(&id, &format!("find / -xdev -name ca.key 2>/dev/null | grep {home}; true"));
    assert!(!mounts.contains("atelier.sock") && keys.is_empty(), "{mounts} {keys}");
}

fn what_listens_on_this_machines_loopback_is_not_reached(runtime: &str) {
    let lab = Lab::with_runtime(runtime);
    let api: u16 = lab.serve_tcp().rsplit_once(':').unwrap().1.parse().unwrap();
    let addresses = lab.addresses();
    let port = |address: &str| address.rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    let id = lab.sandbox(&["--runtime", runtime, "--memory", "256MiB", "--network", "open"]);
    let ports = [greeter(), api, port(&addresses.ingress), port(&addresses.ssh)];
    let ports = ports.map(|port| port.to_string()).join(" ");
    let hosts = "127.0.0.1 localhost host.atelier.internal 0.0.0.0 [::1] ::ffff:127.0.0.1";
    let script = format!(
        "for host in {hosts}; do for port in {ports}; do \
         said=$(echo | nc -w 3 $host $port 2>/dev/null) && echo OPEN $host $port; \
         [ -z \"$said\" ] || echo $host $port: $said; done; done; echo all tried"
    );
    assert_eq!(lab.sh(&id, &script), "all tried\n");
}

in_each_runtime! {
    the_home_and_its_socket_are_not_seen, what_listens_on_this_machines_loopback_is_not_reached
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
