//! What a sandbox's network lets through. Servers of these tests listen on this machine's loopback,
//! which a sandbox reaches as `host.atelier.internal` when a rule says so.

use std::process::Command;

use crate::support::{Done, Lab, greeter, wait_until};

/// What a server says to somebody inside, or nothing.
fn said(lab: &Lab, id: &str, host: &str, port: u16) -> String {
    lab.try_sh(id, &format!("nc -w 5 {host} {port} </dev/null")).stdout
}

const HOST: &str = "host.atelier.internal";

#[test]
fn none_leaves_the_loopback_only() {
    let lab = Lab::with_image();
    let port = greeter();
    let id = lab.sandbox(&["--network", "none"]);
    assert_eq!(lab.sh(&id, "ls /sys/class/net"), "lo\n");
    assert_eq!(said(&lab, &id, HOST, port), "");
    lab.web_server(&id, 8000, "own");
    assert_eq!(lab.sh(&id, "wget -qO- http://127.0.0.1:8000/"), "own");
}

#[test]
fn the_hosts_loopback_is_another_one() {
    let lab = Lab::with_image();
    let port = greeter();
    let id = lab.sandbox(&["--network", "open"]);
    let gateway = lab.sh(&id, "ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p'");
    for host in ["127.0.0.1", HOST, gateway.trim(), "0.0.0.0", "::1"] {
        assert_eq!(said(&lab, &id, host, port), "", "{host}");
    }
}

#[test]
fn a_port_of_this_machine_is_reached_when_a_rule_says_so_and_no_other() {
    let lab = Lab::with_image();
    let (granted, other) = (greeter(), greeter());
    let id = lab.sandbox(&["--allow", &format!("localhost:{granted}")]);
    assert_eq!(lab.show(&id)["network"]["mode"], "allowlist");
    assert_eq!(said(&lab, &id, HOST, granted), "greetings");
    assert_eq!(said(&lab, &id, HOST, other), "");
}

#[test]
fn the_policy_is_replaced_while_the_sandbox_runs() {
    let lab = Lab::with_image();
    let (one, two) = (greeter(), greeter());
    let rule = |port: u16| format!("localhost:{port}");
    let id = lab.sandbox(&["--network", "allowlist"]);
    assert_eq!(said(&lab, &id, HOST, one), "");
    lab.ok(&["sandbox", "network", &id, "--allow", &rule(one)]);
    assert_eq!(
        (said(&lab, &id, HOST, one), said(&lab, &id, HOST, two)),
        ("greetings".into(), "".into())
    );
    lab.ok(&["sandbox", "network", &id, "--allow", &rule(two)]);
    assert_eq!(
        (said(&lab, &id, HOST, one), said(&lab, &id, HOST, two)),
        ("".into(), "greetings".into())
    );
    // It is still so after a stop and a start.
    lab.ok(&["sandbox", "stop", &id]);
    lab.ok(&["sandbox", "start", &id]);
    assert_eq!(
        (said(&lab, &id, HOST, one), said(&lab, &id, HOST, two)),
        ("".into(), "greetings".into())
    );
    lab.ok(&["sandbox", "network", &id, "--network", "none"]);
    assert_eq!(said(&lab, &id, HOST, two), "");
    assert_eq!(lab.json(&["sandbox", "network", &id])["mode"], "none");
}

#[test]
fn a_connection_that_is_no_longer_allowed_is_cut() {
    let lab = Lab::with_image();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let held = std::thread::spawn(move || listener.accept().unwrap().0);
    let id = lab.sandbox(&["--allow", &format!("localhost:{port}")]);
    let pid = lab.detach(&id, &format!("sleep 1000 | nc {HOST} {port}; echo cut")).to_string();
    let _open = held.join().unwrap();
    lab.ok(&["sandbox", "network", &id, "--network", "none"]);
    // The one end may notice only when the other does: the shell's pipe is left alone.
    wait_until("the connection is gone inside", || {
        !lab.sh(&id, "netstat -tn 2>/dev/null").contains(&format!(":{port} "))
            || lab.ok(&["sandbox", "logs", &id, &pid]).contains("cut")
    });
}

#[test]
fn a_rule_that_is_none_is_refused() {
    let lab = Lab::with_image();
    lab.run(&["sandbox", "create", "--allow", "http://x/"]).fails(2, &["http://x/", "HOST:PORT"]);
    let id = lab.sandbox(&["--network", "none"]);
    lab.run(&["sandbox", "network", &id, "--deny", "1.2.3.4.5:x"]).fails(2, &["1.2.3.4.5"]);
    assert_eq!(lab.json(&["sandbox", "network", &id])["mode"], "none");
    let all = lab.json(&["sandbox", "ls"]);
    assert_eq!(all.as_array().unwrap().len(), 1);
}

#[test]
fn cloud_metadata_is_refused_however_it_is_spelled() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--network", "open"]);
    for host in
        ["169.254.169.254", "0xa9fea9fe", "2852039166", "::ffff:169.254.169.254", "fd00:ec2::254"]
    {
        let done = lab.try_sh(&id, &format!("nc -w 5 {host} 80 </dev/null"));
        assert!(done.code != 0 && done.stdout.is_empty(), "{host}: {done:?}");
    }
}

#[test]
fn sandboxes_do_not_reach_each_other() {
    let lab = Lab::with_image();
    let (one, two) = (lab.sandbox(&["--public"]), lab.sandbox(&[]));
    lab.web_server(&one, 8000, "private");
    let own = lab.sh(&one, "ip -o addr | sed -n 's/.* inet6* \\([^/]*\\).*/\\1/p'");
    let addresses: Vec<_> = own.lines().filter(|a| !a.is_empty()).collect();
    assert!(addresses.len() > 1, "{own}");
    for address in addresses {
        assert_eq!(said(&lab, &two, address, 8000), "", "{address}");
    }
    // Nor through the ingress, which listens on this machine's loopback.
    let ingress: u16 = lab.addresses().ingress.rsplit_once(':').unwrap().1.parse().unwrap();
    assert_ne!(lab.try_sh(&two, &format!("timeout 5 wget -qO- http://{HOST}:{ingress}/")).code, 0);
}

/// Runs a script with the binary as `$A` in a network of its own: two servers at 10.99.0.1 and
/// 10.98.0.1, port 8000.
fn in_a_network_of_its_own(lab: &Lab, script: &str) -> Done {
    let template = lab.command(&[""; 0]);
    let before = "ip link set lo up
        ip addr add 10.99.0.1/24 dev lo; ip addr add 10.98.0.1/24 dev lo
        $A stop >/dev/null 2>&1 || true
        mkdir pages; echo page > pages/index.html
        /bin/busybox httpd -f -p 8000 -h pages & server=$!
        trap 'kill $server; $A sandbox rm --all --yes >/dev/null; $A stop >/dev/null' EXIT
        get() { $A sandbox exec dev -- timeout 5 wget -qO- http://$1:8000/ 2>/dev/null || echo refused; }
        both() { get 10.99.0.1; get 10.98.0.1; }";
    let mut shell = Command::new("unshare");
    shell.args(["--net", "sh", "-euc", &format!("{before}\n{script}")]);
    shell.env_clear().current_dir(&lab.project);
    for (key, value) in template.get_envs() {
        shell.env(key, value.unwrap());
    }
    shell.env("A", template.get_program());
    Done::of(shell.output().unwrap())
}

#[test]
fn open_means_all_but_what_is_denied_and_the_exceptions_to_that() {
    let lab = Lab::with_image();
    let done = in_a_network_of_its_own(
        &lab,
        "$A sandbox create --name dev --network open >/dev/null; both
         $A sandbox network dev --network open --deny 10.99.0.0/24 >/dev/null; both
         $A sandbox network dev --network open --deny 10.0.0.0/8 --allow 10.99.0.1:8000 >/dev/null; both
         $A sandbox network dev --network open --deny '*' >/dev/null; both
         $A sandbox network dev --network open >/dev/null; both",
    );
    let (page, refused) = ("page\n", "refused\n");
    let wanted = [page, page, refused, page, page, refused, refused, refused, page, page].concat();
    assert_eq!(done.stdout, wanted, "{}", done.stderr);
}

#[test]
fn an_allowlist_takes_addresses_networks_and_ports() {
    let lab = Lab::with_image();
    let done = in_a_network_of_its_own(
        &lab,
        "$A sandbox create --name dev --allow 10.98.0.0/24:8000 >/dev/null; both
         $A sandbox network dev --allow 10.99.0.1:1-7999 >/dev/null; both
         $A sandbox network dev --allow 10.99.0.1:1-8000 >/dev/null; both",
    );
    assert_eq!(done.stdout, "refused\npage\nrefused\nrefused\npage\nrefused\n", "{}", done.stderr);
}
