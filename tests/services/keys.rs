//! What keys of a Compose file do to containers: the same with Compose and without it.

use serde_json::Value;

use crate::support::{Lab, ask_engine, containers};

/// A project with one service, `a`, of these keys, up in `a1`.
fn up(keys: &str, more: &str) -> Lab {
    let lab = Lab::with_services("shop", &file(keys, more));
    lab.ok(&["env", "create", "a1"]);
    lab.ok(&["env", "up", "a1"]);
    lab
}

fn file(keys: &str, more: &str) -> String {
    let keys: String = keys.lines().map(|line| format!("    {}\n", line.trim_end())).collect();
    format!("services:\n  a:\n    image: atelier-test:1\n    stop_grace_period: 0s\n{keys}{more}")
}

fn all(lab: &Lab) -> Vec<Value> {
    let id = lab.json(&["env", "show", "a1"])["id"].as_str().unwrap().to_owned();
    containers(&format!("dev.atelier.environment={id}"))
}

/// What the engine knows of the container of a service.
fn inspect(lab: &Lab, service: &str) -> Value {
    let all = all(lab);
    let own = all.iter().find(|c| c["Labels"]["com.docker.compose.service"] == service).unwrap();
    ask_engine(&format!("/containers/{}/json", own["Id"].as_str().unwrap()))
}

fn id(lab: &Lab, service: &str) -> String {
    inspect(lab, service)["Id"].as_str().unwrap().to_owned()
}

fn log(lab: &Lab, service: &str) -> String {
    lab.ok(&["env", "logs", "a1", "-s", service])
}

#[test]
fn what_a_service_is_told_reaches_its_container() {
    let keys = "entrypoint: [sh, -c]\ncommand: ['id -u; pwd; hostname; env; cat /etc/hosts /etc/resolv.conf; cat /run/secrets/s1 /run/secrets/s2 /c1; ulimit -n; sleep 1000']\n\
        user: '7'\nworking_dir: /tmp\nhostname: host-a\nenvironment: {ONE: '1', TWO: 'a$$b'}\nenv_file: [more.env]\n\
        extra_hosts: ['far:1.2.3.4']\ndns: 9.9.9.9\ndns_search: [in.test]\nsecrets: [s1, {source: s2, target: s2}]\nconfigs: [c1]\n\
        ulimits: {nofile: {soft: 99, hard: 100}}\ncap_drop: [ALL]\ncap_add: [NET_ADMIN]\nprivileged: false\ninit: false\n\
        stop_signal: SIGINT\nrestart: on-failure:2\nmem_limit: 64m\ncpus: 0.5\npids_limit: 50\nshm_size: 1m\ntmpfs: [/scratch]\n\
        read_only: false\nsysctls: {net.core.somaxconn: '200'}\nlogging: {driver: json-file, options: {max-size: 1m}}\n\
        labels: {mine: yes indeed}\ntty: true";
    let more = "secrets: {s1: {file: ./s1.txt}, s2: {file: ./s2.txt}}\nconfigs: {c1: {content: 'of the file'}}\n";
    let lab = Lab::with_services("shop", &file(keys, more));
    for (name, text) in [("more.env", "THREE=3\n"), ("s1.txt", "first\n"), ("s2.txt", "second\n")] {
        lab.write(name, text);
    }
    lab.ok(&["env", "create", "a1"]);
    lab.ok(&["env", "up", "a1"]);
    let said = log(&lab, "a");
    for part in [
        "7\r",
        "/tmp\r",
        "host-a\r",
        "ONE=1",
        "TWO=a$b",
        "THREE=3",
        "1.2.3.4\tfar",
        "search in.test",
        "first",
        "second",
        "of the file",
        "99",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    let seen = inspect(&lab, "a");
    let (host, config) = (&seen["HostConfig"], &seen["Config"]);
    assert_eq!(host["Memory"], 64 << 20);
    assert_eq!(host["NanoCpus"], 500_000_000);
    assert_eq!(host["PidsLimit"], 50);
    assert_eq!(host["ShmSize"], 1 << 20);
    assert_eq!(host["CapDrop"], serde_json::json!(["ALL"]));
    assert_eq!(host["RestartPolicy"]["MaximumRetryCount"], 2);
    assert_eq!(host["LogConfig"]["Config"]["max-size"], "1m");
    assert_eq!(host["Sysctls"]["net.core.somaxconn"], "200");
    assert!(host["Tmpfs"].get("/scratch").is_some());
    assert_eq!(host["Dns"], serde_json::json!(["9.9.9.9"]));
    assert_eq!((&config["StopSignal"], &config["Tty"]), (&"SIGINT".into(), &true.into()));
    assert_eq!(config["Labels"]["mine"], "yes indeed");
    assert_eq!(config["Labels"]["com.docker.compose.container-number"], "1");
}

#[test]
fn a_service_starts_when_what_it_needs_is_far_enough() {
    let more = "  sick:\n    image: atelier-test:1\n    command: sh -c 'sleep 1; touch /shared/well; exec sleep 1000'\n    \
        stop_grace_period: 0s\n    healthcheck: {test: [CMD, test, -e, /shared/well], interval: 100ms, retries: 100}\n    \
        volumes: ['vol:/shared']\n  \
        once:\n    image: atelier-test:1\n    command: sh -c 'sleep 1; echo done > /shared/done'\n    volumes: ['vol:/shared']\n\
        volumes: {vol: }\n";
    let keys = "command: sh -c 'ls /shared/well; cat /shared/done; exec sleep 1000'\nvolumes: ['vol:/shared']\n\
        depends_on:\n  sick: {condition: service_healthy}\n  once: {condition: service_completed_successfully}";
    let said = log(&up(keys, more), "a");
    assert!(said.contains("/shared/well\n") && said.contains("done\n"), "{said}");
}

#[test]
fn one_that_fails_keeps_those_that_need_it_from_starting() {
    let more = "  once: {image: 'atelier-test:1', command: sh -c 'echo no table; exit 4'}\n";
    let keys =
        "command: sleep 1000\ndepends_on: {once: {condition: service_completed_successfully}}";
    let lab = Lab::with_services("shop", &file(keys, more));
    lab.ok(&["env", "create", "a1"]);
    lab.run(&["env", "up", "a1"]).fails(6, &["the service once ended with code 4", "no table"]);
    let optional = keys.replace("successfully}", "successfully, required: false}");
    lab.ok(&[
        "run",
        "--no-up",
        "a1",
        "--",
        "sh",
        "-c",
        &format!(
            "cat > compose.yaml <<'E'\n{}E",
            file(&optional, &more.replace("exit 4", "exit 0"))
        ),
    ]);
    lab.ok(&["env", "up", "a1"]);
}

#[test]
fn only_what_changed_is_made_anew_and_what_is_gone_from_the_file_goes() {
    let more = |name: &str| {
        format!(
            "  {name}: {{image: 'atelier-test:1', command: sleep 1000, stop_grace_period: 0s}}\n  other: {{image: 'atelier-test:1', command: sleep 1000, stop_grace_period: 0s, network_mode: none}}\n"
        )
    };
    let lab = up("command: sleep 1000\nnetwork_mode: none", &more("b"));
    let (a, b, other) = (id(&lab, "a"), id(&lab, "b"), id(&lab, "other"));
    let write = |text: String| {
        let script = format!("cat > compose.yaml <<'E'\n{text}E");
        lab.ok(&["run", "--no-up", "a1", "--", "sh", "-c", &script]);
        lab.ok(&["env", "up", "a1"]);
    };
    write(file("command: sleep 1001\nnetwork_mode: none", &more("c")));
    assert_ne!(id(&lab, "a"), a);
    assert_eq!(id(&lab, "other"), other, "nothing of it changed");
    assert!(all(&lab).iter().all(|c| c["Id"] != b.as_str()), "its service is not in the file");
    lab.ok(&["env", "up", "--recreate", "a1", "other"]);
    assert_ne!(id(&lab, "other"), other);
    let name = inspect(&lab, "other")["Name"].as_str().unwrap().to_owned();
    assert!(name.ends_with("-other-1"), "{name}");
}

#[test]
fn what_a_service_wrote_into_a_volume_without_a_name_outlives_its_container() {
    let keys =
        "command: sh -c 'echo x >> /data/log; cat /data/log; exec sleep 1000'\nvolumes: [/data]";
    let lab = up(keys, "");
    lab.ok(&["env", "up", "--recreate", "a1"]);
    assert_eq!(log(&lab, "a").matches('x').count(), 2);
}

#[test]
fn a_service_may_have_several_containers_or_live_in_the_network_of_another() {
    let more = "  many: {image: 'atelier-test:1', command: sleep 1000, scale: 3, stop_grace_period: 0s}\n  \
        inside:\n    image: atelier-test:1\n    network_mode: 'service:a'\n    stop_grace_period: 0s\n    \
        command: sh -c 'until wget -q -O - http://127.0.0.1:80/; do sleep 0.1; done; exec sleep 1000'\n";
    let lab = up("command: httpd -f -p 80 -h /site\nvolumes: ['./site:/site:ro']", more);
    let many = |n: usize| {
        let all = all(&lab);
        let own = all.iter().filter(|c| c["Labels"]["com.docker.compose.service"] == "many");
        assert_eq!(own.count(), n);
    };
    many(3);
    let host = inspect(&lab, "inside")["HostConfig"]["NetworkMode"].as_str().unwrap().to_owned();
    assert_eq!(host, format!("container:{}", id(&lab, "a")));
    let log = || log(&lab, "inside");
    crate::support::wait_until("it answers in the other's network", || log().contains("hello"));
    lab.ok(&["run", "--no-up", "a1", "--", "sed", "-i", "s/scale: 3/scale: 1/", "compose.yaml"]);
    lab.ok(&["env", "up", "a1"]);
    many(1);
}

#[test]
fn ports_are_published_only_when_asked_for() {
    let lab = Lab::with_services("shop", &file("command: httpd -f -p 80 -h /\nports: ['80']", ""));
    lab.ok(&["env", "create", "a1"]);
    lab.ok(&["env", "up", "a1"]);
    let public = || all(&lab)[0]["Ports"][0]["PublicPort"].as_u64();
    assert_eq!(public(), None);
    lab.ok(&["env", "up", "--publish", "a1"]);
    assert!(public().is_some());
    assert_eq!(all(&lab)[0]["Ports"][0]["IP"], "127.0.0.1");
}
