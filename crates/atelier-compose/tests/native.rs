//! Projects without a Compose tool: the same canonical form as the tool's, or a refusal that says
//! what to install.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use atelier_api::Fault;
use atelier_compose::{ComposeError, Loader, Request, Scope, generate};
use proptest::prelude::*;
use support::{compose5, project, scope};

const WHOLE: &str = r#"
x-common: &common
  restart: unless-stopped
  environment: {A: "1"}
services:
  web:
    <<: *common
    build: {context: ./app, args: {V: 2}, target: dev}
    command: serve --port 80 'a b'
    entrypoint: [sh, -c]
    environment: {B: "$$x", C: "${C:-c}", D: , E: 5, F: true}
    env_file: [web.env, {path: none.env, required: false}]
    ports: ["8080:80", "127.0.0.1:53:53/udp", 90, {target: 443, published: 444}]
    expose: [81, "82/udp"]
    volumes: ["./src:/src:ro", "data:/data", /anonymous, {type: tmpfs, target: /t}, "~/x:/y"]
    networks: {default: , back: {aliases: [w]}}
    depends_on: {db: {condition: service_healthy}}
    labels: [a=b, c]
    user: me
    working_dir: /w
    hostname: h
    tty: true
    stdin_open: false
    init: true
    cap_add: [NET_ADMIN]
    cap_drop: [ALL]
    tmpfs: /tmp
    extra_hosts: ["h:1.2.3.4", "host.docker.internal:host-gateway"]
    stop_signal: SIGINT
    stop_grace_period: 90s
    deploy: {replicas: 2}
    mem_limit: 64m
    cpus: 0.5
    read_only: true
    security_opt: ["no-new-privileges:true"]
    shm_size: 1gb
    sysctls: {net.core.somaxconn: 1024}
    ulimits: {nproc: 10, nofile: {soft: 1, hard: 2}}
  db:
    image: db
    container_name: fixed.db
    healthcheck: {test: ping, interval: 10s, timeout: 1m, retries: 3, start_period: 0s}
  side: {image: x, network_mode: "service:db", scale: 1}
  off: {image: x, profiles: [debug]}
networks: {back: {internal: true, labels: {a: b}}, unused: }
volumes: {data: {driver: local}, unused: }
"#;

fn both(files: &[(&str, &str)], change: impl Fn(&mut Request)) {
    let (_folder, mut request) = project(files);
    change(&mut request);
    let mut theirs = Loader::Tool(compose5()).load(&request).unwrap();
    let ours = Loader::Native.load(&request).unwrap();
    // Extensions are the one thing that it leaves out.
    theirs.0.as_object_mut().unwrap().retain(|key, _| !key.starts_with("x-"));
    assert_eq!(
        serde_json::to_string_pretty(&theirs.0).unwrap(),
        serde_json::to_string_pretty(&ours.0).unwrap()
    );
}

#[test]
fn the_common_subset_has_the_same_canonical_form_as_by_the_tool() {
    let files = [("compose.yaml", WHOLE), ("web.env", "G=\"$C g\"\nA=0\n"), (".env", "C=dot\n")];
    both(&files, |_| ());
    both(&files, |request| request.profiles = vec!["debug".to_owned()]);
    both(&files, |request| {
        request.variables.insert("C".to_owned(), "outer".to_owned());
        request.project_name = String::new();
        request.variables.insert("COMPOSE_PROJECT_NAME".to_owned(), "named".to_owned());
    });
}

const MORE: &str = r#"
services:
  web:
    build:
      context: .
      labels: [a=b]
      no_cache: true
      pull: false
      network: host
      shm_size: 5m
      dockerfile_inline: "FROM x"
      extra_hosts: ["a:1.2.3.4"]
    pull_policy: build
    dns: 1.1.1.1
    dns_search: [a.b, c.d]
    dns_opt: ["ndots:1"]
    logging: {driver: json-file, options: {max-size: 10m, max-file: 3}}
    domainname: d.e
    platform: linux/amd64
    ipc: shareable
    pid: host
    userns_mode: host
    cgroup_parent: /x
    runtime: runc
    group_add: [a, 5]
    cpu_shares: 512
    cpuset: 0-1
    oom_kill_disable: true
    restart: on-failure:3
    secrets: [s1, {source: s2, target: /x, mode: 0440, uid: "5", gid: "6"}, {source: s3, target: t3}]
    configs: [c1, {source: c2, target: /y, mode: 288}]
    healthcheck: {test: [CMD, "true"], interval: 200ms, timeout: 1.5s}
    deploy:
      resources: {limits: {cpus: "0.5", memory: 64M, pids: 5}, reservations: {memory: 20M}}
    volumes:
      - {type: bind, source: ./a, target: /a, bind: {create_host_path: false}}
      - {type: bind, source: ./b, target: /b, bind: {create_host_path: true, propagation: rslave}}
      - {type: volume, source: v, target: /v, volume: {nocopy: true}}
      - {type: tmpfs, target: /t, tmpfs: {size: 5m, mode: 0700}}
  other: {image: x, pull_policy: if_not_present, pids_limit: 100, mem_reservation: 32m}
secrets: {s1: {file: ./s1}, s2: {environment: S2}, s3: {file: /abs, name: other}}
configs: {c1: {content: "hi $$x"}, c2: {file: ./c}, unused: {file: ./z}}
volumes: {v: }
"#;

#[test]
fn keys_that_are_seldom_have_the_same_canonical_form_too() {
    both(&[("compose.yaml", MORE)], |_| ());
}

#[test]
fn several_files_are_merged_as_by_the_tool() {
    let over = "services:\n  web:\n    image: over\n    command: [other]\n    environment: [A=2, H=h]\n    \
                ports: ['8080:80', '1:1']\n    volumes: ['./other:/src']\n    labels: {a: z}\n    \
                cap_add: [NET_ADMIN, SYS_TIME]\n    networks: [third]\n    expose: [81]\n  \
                db: {healthcheck: {interval: 20s}}\nnetworks: {third: , back: {labels: {c: d}}}\n";
    both(
        &[("compose.yaml", WHOLE), ("compose.override.yml", over), ("web.env", ""), (".env", "")],
        |_| (),
    );
}

#[test]
fn what_it_does_not_know_is_refused_with_its_place_and_what_to_install() {
    for (text, key, line) in [
        ("services:\n  a:\n    image: x\n    gpus: all\n", "services.a.gpus", 4),
        ("include: [x.yaml]\nservices: {a: {image: x}}\n", "include", 1),
        ("services:\n  a:\n    extends: b\n    image: x\n", "services.a.extends", 3),
        ("services:\n  a:\n    image: x\n    command: a && b\n", "services.a.command", 4),
        ("services:\n  a:\n    image: x\n    ports: !reset []\n", "!reset", 4),
        (
            "services: {a: {image: x}}\nsecrets:\n  s:\n    external: true\n",
            "secrets.s.external",
            4,
        ),
        (
            "services:\n  a:\n    image: x\n    ports: ['80']\n    mac_address: x\n",
            "services.a.mac_address",
            5,
        ),
    ] {
        let (_folder, request) = project(&[("compose.yaml", text)]);
        let error = Loader::Native.load(&request).unwrap_err();
        assert_eq!(error.code(), "compose.unsupported");
        assert!(error.hints()[0].contains("install Docker Compose"), "{:?}", error.hints());
        let ComposeError::Unsupported { key: found, line: at, .. } = error else { unreachable!() };
        assert_eq!((found.as_str(), at), (key, Some(line)), "{text}");
    }
}

#[test]
fn a_mistake_is_refused_with_its_place() {
    for (text, place) in [
        ("services:\n  a:\n    image: ${X:?set it}\n", ":3:"),
        ("services:\n  a:\n    image: [x]\n", ":3:"),
        ("services:\n  a:\n    image: x\n   b: [\n", ":4:"),
        ("services:\n  a:\n    image: x\n    tty: perhaps\n", ":4:"),
        ("services:\n  a:\n    image: x\n    prots: [80]\n", ":4:"),
        ("service: {}\nservices: {a: {image: x}}\n", ":1:"),
    ] {
        let (_folder, request) = project(&[("compose.yaml", text)]);
        let error = Loader::Native.load(&request).unwrap_err();
        assert_eq!(error.code(), "compose.invalid", "{error}");
        assert!(error.to_string().contains(place), "{error}");
    }
    for text in [
        "services: {a: {image: x, depends_on: [b]}}",
        "services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}",
        "services: {a: {image: x, volumes: ['data:/d']}}",
        "services: {a: {image: x, networks: [n]}}",
        "services: {a: {command: [x]}}",
        "services: {a: {image: x, container_name: cc, scale: 2}}",
        "services: {a: {image: x, container_name: cc}, b: {image: x, container_name: cc}}",
    ] {
        let (_folder, request) = project(&[("compose.yaml", text)]);
        assert!(Loader::Tool(compose5()).load(&request).is_err(), "{text}");
        assert!(Loader::Native.load(&request).is_err(), "{text}");
    }
}

fn services() -> impl Strategy<Value = String> {
    let ports = proptest::collection::vec((1_u16..65535, any::<bool>()), 0..4);
    let one = ("[a-z][a-z0-9]{0,6}", ports, any::<bool>(), any::<bool>(), 0_u32..3);
    proptest::collection::vec(one, 1..6).prop_map(|services| {
        let mut text = "services:\n".to_owned();
        for (index, (name, ports, build, volume, scale)) in services.iter().enumerate() {
            let source = if *build { "build: ." } else { "image: x" };
            text.push_str(&format!(
                "  {name}{index}:\n    {source}\n    scale: {scale}\n    ports:\n"
            ));
            text.push_str("      - '7'\n");
            for (port, published) in ports {
                let public = if *published { format!("{port}:") } else { String::new() };
                text.push_str(&format!("      - {{target: {port}, protocol: udp}}\n"));
                text.push_str(&format!("      - '{public}{port}'\n"));
            }
            if *volume {
                text.push_str("    volumes: ['data:/d', './x:/x']\n");
            }
        }
        text + "volumes: {data: {name: fixed}}\n"
    })
}

proptest! {
    #[test]
    fn whatever_is_rewritten_publishes_nothing_and_has_the_scope_in_every_name(text in services()) {
        let (_folder, request) = project(&[("compose.yaml", &text)]);
        let model = match Loader::Native.load(&request) {
            Ok(model) => model,
            Err(ComposeError::Unsupported { .. }) => return Ok(()),
            Err(e) => return Err(TestCaseError::fail(format!("{e}\n{text}"))),
        };
        let scope: Scope = scope();
        let generated = generate(&model, &scope).unwrap();
        for plan in &generated.services {
            let service = &generated.file["services"][&plan.name];
            prop_assert!(service.get("ports").is_none());
            prop_assert_eq!(plan.addresses.len(), if plan.replicas == 1 { 2 } else { 0 });
            prop_assert!(!plan.build || service["image"].as_str().unwrap().starts_with("atelier-shop-a1-"));
            prop_assert_eq!(&service["labels"]["atelier.env"], "a1");
        }
        for section in ["networks", "volumes"] {
            for entry in generated.file.get(section).and_then(|s| s.as_object()).into_iter().flatten() {
                prop_assert!(entry.1["name"].as_str().unwrap().starts_with("shop-a1_"));
            }
        }
    }
}
