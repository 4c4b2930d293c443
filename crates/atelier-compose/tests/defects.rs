//! What went wrong in Cilo, by its number in the list of its defects, and what else two
//! environments of one project must not share. Each project goes through the real Compose.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::net::IpAddr;

use atelier_compose::{
    ComposeError, Generated, Loader, Model, Scope, Tool, generate, plain, shared_file,
};
use serde_json::{Value, json};
use support::{compose2, compose5, model, project, scope};

fn rewritten(text: &str) -> Generated {
    generate(&model(text), &scope()).unwrap()
}

fn service<'a>(generated: &'a Generated, name: &str) -> &'a Value {
    &generated.file["services"][name]
}

fn plan<'a>(generated: &'a Generated, name: &str) -> &'a atelier_compose::ServicePlan {
    generated.services.iter().find(|s| s.name == name).unwrap()
}

/// The file as Compose reads it, which must accept it.
fn again(tool: Tool, generated: &Generated) -> Model {
    let (_folder, mut request) = project(&[("compose.yaml", &generated.file.to_string())]);
    request.project_name = String::new();
    Loader::Tool(tool).load(&request).unwrap()
}

#[test]
fn defect_1_published_ports_do_not_stay() {
    let text = "services: {web: {image: x, ports: ['8080:80', '9000-9001:9000-9001']}}";
    for tool in [compose2(), compose5()] {
        let (_folder, request) = project(&[("compose.yaml", text)]);
        let model = Loader::Tool(tool.clone()).load(&request).unwrap();
        let generated = generate(&model, &scope()).unwrap();
        let read = again(tool, &generated);
        assert_eq!(read.0["services"]["web"].get("ports"), None);
        assert_eq!(plan(&generated, "web").ports.len(), 3);
    }
    let mut publish = scope();
    publish.publish = true;
    let generated = generate(&model(text), &publish).unwrap();
    let read = again(compose5(), &generated);
    for port in read.0["services"]["web"]["ports"].as_array().unwrap() {
        assert_eq!((&port["host_ip"], port.get("published")), (&json!("127.0.0.1"), None));
    }
}

#[test]
fn where_addresses_lead_nowhere_every_tcp_port_is_published_where_its_network_is() {
    let text = "services:\n  web: {image: x, ports: ['8080:80', '53:53/udp'], expose: [80, 9000]}\n  \
        tap: {image: x, network_mode: 'service:web', expose: [9229]}\n  \
        own: {image: x, network_mode: host, expose: [7000]}\n  db: {image: x, expose: [5432]}\n";
    let mut scope = scope();
    scope.loopback = true;
    let read = again(compose5(), &generate(&model(text), &scope).unwrap());
    let ports = |service: &str| -> Vec<u64> {
        let ports = read.0["services"][service]["ports"].as_array().cloned().unwrap_or_default();
        for port in &ports {
            let how = (&port["host_ip"], &port["protocol"], port.get("published"));
            assert_eq!(how, (&json!("127.0.0.1"), &json!("tcp"), None));
        }
        let mut targets: Vec<u64> =
            ports.iter().filter_map(|port| port["target"].as_u64()).collect();
        targets.sort_unstable();
        targets
    };
    assert_eq!(ports("web"), [80, 9000, 9229]);
    assert_eq!(ports("db"), [5432]);
    assert!(ports("tap").is_empty() && ports("own").is_empty());
}

#[test]
fn defect_2_every_name_has_the_scope() {
    let generated = rewritten(
        "services: {db: {image: x, volumes: ['data:/d'], networks: [back]}}\n\
         volumes: {data: {name: fixed}}\nnetworks: {back: {name: fixed}}\n",
    );
    assert_eq!(generated.file["name"], "shop-a1");
    assert_eq!(generated.file["volumes"]["data"]["name"], "shop-a1_data");
    assert_eq!(
        generated.file["networks"]["back"],
        json!({"name": "shop-a1_back", "external": true})
    );
    assert_eq!(plan(&generated, "db").volumes, ["shop-a1_data"]);
    assert_eq!(generated.volumes[0].labels["atelier.env"], "a1");
    assert_eq!(service(&generated, "db")["labels"]["atelier.env"], "a1");
}

#[test]
fn defect_5_custom_host_names_have_the_environment_in_them() {
    let generated = rewritten(
        "services:\n  web:\n    image: x\n    labels:\n      cilo.hostnames: \
         'admin, Fixed.test, $${ATELIER_ENV}-x, $${CILO_PROJECT}.$${ATELIER_ENV}.test'\n",
    );
    assert_eq!(
        plan(&generated, "web").hostnames,
        ["admin.a1.test", "fixed.test", "a1-x.a1.test", "shop.a1.test"]
    );
    let bad = model("services: {web: {image: x, labels: {atelier.hostnames: 'a b'}}}");
    assert!(matches!(generate(&bad, &scope()), Err(ComposeError::Invalid { .. })));
}

#[test]
fn defect_6_extends_include_overrides_and_interpolation_are_read() {
    let (_folder, mut request) = project(&[
        (
            "compose.yaml",
            "include: [more.yml]\nx-env: &env {A: '1'}\nservices:\n  web:\n    extends: {file: base.yml, \
             service: base}\n    environment: {<<: *env, B: '${B:-b}', C: $C}\n",
        ),
        ("more.yml", "services: {db: {image: db}}"),
        (
            "base.yml",
            "services: {base: {image: base, labels: {atelier.ingress: 'true'}, expose: [80]}}",
        ),
        ("compose.override.yaml", "services: {web: {environment: {A: '2'}}}"),
        (".env", "C=c\n"),
    ]);
    request.variables.insert("B".to_owned(), "from outside".to_owned());
    let model = Loader::Tool(compose5()).load(&request).unwrap();
    let generated = generate(&model, &scope()).unwrap();
    let web = service(&generated, "web");
    assert_eq!(web["environment"], json!({"A": "2", "B": "from outside", "C": "c"}));
    assert!(plan(&generated, "web").ingress);
    assert_eq!(generated.services.len(), 2);
}

#[test]
fn defect_7_container_names_replicas_and_network_modes_go_together() {
    let generated = rewritten(
        "services:\n  one: {image: x, container_name: fixed}\n  many: {image: x, scale: 3}\n  \
         host: {image: x, network_mode: host}\n  side: {image: x, network_mode: 'service:one'}\n",
    );
    assert_eq!(service(&generated, "one").get("container_name"), None);
    let four: IpAddr = "10.224.7.10".parse().unwrap();
    let six: IpAddr = "fd00:0:0:7::a".parse().unwrap();
    assert_eq!(plan(&generated, "one").addresses, [four, six]);
    for name in ["many", "host", "side"] {
        assert!(plan(&generated, name).addresses.is_empty(), "{name}");
    }
    assert_eq!(plan(&generated, "many").replicas, 3);
    assert_eq!(plan(&generated, "side").via.as_deref(), Some("one"));
    assert_eq!(service(&generated, "host").get("networks"), None);
    again(compose5(), &generated);
    again(compose2(), &generated);
}

#[test]
fn defect_7_custom_networks_lie_in_the_subnet_and_external_things_are_told() {
    let generated = rewritten(
        "services:\n  a: {image: x, networks: [default, back], volumes: ['ev:/e']}\n  \
         b: {image: x, networks: {back: {ipv4_address: 10.9.0.7, aliases: [bb]}, ext: }}\n\
         networks: {back: {internal: true, ipam: {config: [{subnet: 10.9.0.0/24}]}}, ext: {external: true, name: proxy}}\n\
         volumes: {ev: {external: true, name: outside}}\n",
    );
    let back = &generated.networks[1];
    assert_eq!((back.subnet_v4.to_string().as_str(), back.internal), ("10.224.7.128/28", true));
    assert_eq!(back.subnet_v6.unwrap().to_string(), "fd00:0:0:7:8000::/68");
    let b = &service(&generated, "b")["networks"];
    assert_eq!(b["back"]["ipv4_address"], "10.224.7.131");
    assert_eq!((&b["back"]["aliases"], &b["ext"]), (&json!(["bb"]), &Value::Null));
    assert_eq!(generated.file["networks"]["ext"]["name"], "proxy");
    assert!(generated.volumes[0].external && generated.volumes[0].name == "outside");
    for what in ["external proxy", "external outside", "fixed address"] {
        assert!(generated.notes.iter().any(|n| n.contains(what)), "{what}: {:?}", generated.notes);
    }
    // All addresses are different, and none where the engine chooses.
    let mut all: Vec<_> = generated.services.iter().flat_map(|s| &s.addresses).collect();
    all.sort();
    assert!(all.windows(2).all(|w| w[0] != w[1]));
    assert!(generated.networks.iter().all(|n| all.iter().all(|a| match a {
        IpAddr::V4(a) => !n.range_v4.contains(*a),
        IpAddr::V6(a) => !n.range_v6.unwrap().contains(*a),
    })));
}

#[test]
fn defect_7_built_images_have_a_tag_of_their_own_and_profiles_that_are_off_are_absent() {
    let generated = rewritten(
        "services:\n  web: {build: {context: ., tags: ['me/app:1']}, image: 'me/app'}\n  \
         debug: {image: x, profiles: [debug]}\n",
    );
    let web = service(&generated, "web");
    assert_eq!(web["image"], "atelier-shop-a1-web");
    assert_eq!(
        (web["build"].get("tags"), &web["build"]["labels"]["atelier.env"]),
        (None, &json!("a1"))
    );
    assert!(plan(&generated, "web").build);
    assert_eq!(generated.services.len(), 1);
}

#[test]
fn defect_7_paths_inside_the_project_point_into_the_copy() {
    let (folder, mut request) = project(&[
        (
            "compose.yaml",
            "services:\n  web:\n    build: {context: ./app, additional_contexts: {lib: ./lib}}\n    \
             env_file: [web.env]\n    volumes: ['./src:/src', '/etc/hosts:/h:ro', /anonymous]\n    \
             secrets: [s]\n    configs: [c]\n\
             secrets: {s: {file: ./s.txt}}\nconfigs: {c: {file: ./c.txt}}\n",
        ),
        ("web.env", "A='$x'\n"),
        ("s.txt", ""),
        ("c.txt", ""),
    ]);
    request.folder = folder.path().canonicalize().unwrap();
    let mut scope = scope();
    scope.root = request.folder.clone();
    scope.tree = "/envs/a1".into();
    let model = Loader::Tool(compose5()).load(&request).unwrap();
    let generated = generate(&model, &scope).unwrap();
    let web = service(&generated, "web");
    assert_eq!(web["build"]["context"], "/envs/a1/app");
    assert_eq!(web["build"]["additional_contexts"]["lib"], "/envs/a1/lib");
    let sources: Vec<_> = (0..3).map(|i| web["volumes"][i]["source"].as_str()).collect();
    assert_eq!(sources, [Some("/envs/a1/src"), Some("/etc/hosts"), None]);
    assert_eq!(generated.file["secrets"]["s"]["file"], "/envs/a1/s.txt");
    assert_eq!(generated.file["configs"]["c"]["file"], "/envs/a1/c.txt");
    // A dollar is one for the container, and two in the file.
    assert_eq!(web["environment"]["A"], "$$x");
    assert_eq!(plain(&generated.file)["services"]["web"]["environment"]["A"], "$x");
    assert_eq!(again(compose5(), &generated).0["services"]["web"]["environment"]["A"], "$x");
}

const SHARING: &str = "services:\n  web:\n    image: x\n    depends_on: {db: {condition: service_healthy}}\n    \
    links: ['db:database']\n  api: {image: x, depends_on: [db, web]}\n  db:\n    image: db\n    \
    container_name: fixed\n    entrypoint: [run]\n    environment: {A: '1'}\n    ports: ['5432:5432']\n    \
    labels: ['cilo.share=true']\n    healthcheck: {test: ping}\n    volumes: ['data:/d']\n    \
    deploy: {resources: {limits: {memory: 64m}}}\nvolumes: {data: }\n";

#[test]
fn defect_10_shared_services_are_left_out_of_maps_and_lists() {
    let all = rewritten(SHARING);
    assert!(plan(&all, "db").share);
    let mut scope = scope();
    scope.shared.insert("db".to_owned());
    let generated = generate(&model(SHARING), &scope).unwrap();
    assert_eq!(service(&generated, "web").get("depends_on"), None);
    assert_eq!(service(&generated, "web").get("links"), None);
    assert_eq!(plan(&generated, "api").depends_on, ["web"]);
    let shared = &generated.shared[0];
    assert_eq!((shared.name.as_str(), shared.healthy), ("db", true));
    assert_eq!(shared.aliases, ["db", "database"]);
    assert_eq!(shared.networks, ["shop-a1_default"]);
    assert!(generated.volumes.is_empty());
    again(compose5(), &generated);
    let inside = model("services: {db: {image: x}, side: {image: x, network_mode: 'service:db'}}");
    assert!(matches!(generate(&inside, &scope), Err(ComposeError::Unsupported { .. })));
}

#[test]
fn defect_10_a_shared_service_keeps_what_it_is_and_its_volume_keeps_its_name() {
    let mut own = Scope::new("shop-shared-db", "10.224.0.0/24".parse().unwrap());
    own.shared.insert("db".to_owned());
    let shared = shared_file(&model(SHARING), "db", &own).unwrap();
    let db = service(&shared.generated, "db");
    for key in ["entrypoint", "environment", "healthcheck", "deploy", "volumes"] {
        assert!(db.get(key).is_some_and(|v| !v.is_null()), "{key}");
    }
    assert_eq!((db.get("ports"), db.get("container_name")), (None, None));
    assert_eq!(shared.generated.volumes[0].name, "shop-shared-db_data");
    again(compose5(), &shared.generated);
    let hash = |text: &str| shared_file(&model(text), "db", &own).unwrap().hash;
    assert_eq!(shared.hash, hash(&SHARING.replace("5432:5432", "5433:5432")));
    assert_ne!(shared.hash, hash(&SHARING.replace("A: '1'", "A: '2'")));
    let api = shared_file(&model(SHARING), "api", &own);
    assert!(matches!(api, Err(ComposeError::Unsupported { .. })));
    let none = shared_file(&model(SHARING), "none", &own);
    assert!(matches!(none, Err(ComposeError::NoService { .. })));
}

#[test]
fn a_project_that_is_too_large_for_its_subnet_is_refused() {
    let networks: Vec<_> = (0..9).map(|i| format!("n{i}")).collect();
    let text = format!(
        "services: {{a: {{image: x, networks: [{0}]}}}}\nnetworks: {{{1}: }}\n",
        networks.join(", "),
        networks.join(": , ")
    );
    assert!(matches!(generate(&model(&text), &scope()), Err(ComposeError::NoRoom { .. })));
    let services: Vec<_> = (0..87).map(|i| format!("  s{i}: {{image: x}}\n")).collect();
    let all = format!("services:\n{}", services.concat());
    assert!(matches!(generate(&model(&all), &scope()), Err(ComposeError::NoRoom { .. })));
    let fits = format!("services:\n{}", services[..86].concat());
    assert_eq!(rewritten(&fits).networks[0].range_v4.to_string(), "10.224.7.96/27");
}

#[test]
fn the_port_that_speaks_http_is_guessed_or_told() {
    let generated = rewritten(
        "services:\n  db: {image: x, ports: [5432]}\n  b: {image: x, expose: [9999, 3000]}\n  \
         c: {image: x, expose: [6379, 7777]}\n  d: {image: x, expose: [80], labels: {atelier.ingress: 'false'}}\n  \
         e: {image: x, labels: {atelier.ingress.port: 81}}\n  web: {image: x, ports: ['443:443', '8080']}\n",
    );
    let web = |name: &str| plan(&generated, name).web;
    assert_eq!(
        ["db", "b", "c", "d", "e", "web"].map(web),
        [None, Some(3000), Some(7777), None, Some(81), Some(8080)]
    );
    let ingress: Vec<_> = generated.services.iter().filter(|s| s.ingress).collect();
    assert_eq!((ingress.len(), ingress[0].name.as_str()), (1, "web"));
}

#[test]
fn a_mistake_names_file_line_and_column_and_an_old_compose_is_told_apart() {
    let text = "services:\n  web:\n    image: x\n    prots: [80]\n";
    for tool in [compose2(), compose5()] {
        let (_folder, request) = project(&[("compose.yaml", text)]);
        let error = Loader::Tool(tool).load(&request).unwrap_err();
        assert!(error.to_string().contains("/compose.yaml:4:5: "), "{error}");
    }
    let (folder, _) = project(&[("docker-compose", "#!/bin/sh\necho 1.29.2\n")]);
    let program = folder.path().join("docker-compose");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let old = Tool::detect(None, folder.path().as_os_str());
    assert!(matches!(old, Err(ComposeError::ToolTooOld { .. })), "{old:?}");
    assert_eq!(Tool::detect(None, "/nowhere".as_ref()).unwrap(), None);
    let named = Tool::detect(Some("/bin/false".as_ref()), "".as_ref());
    assert!(matches!(named, Err(ComposeError::ToolMissing { .. })));
}

#[test]
fn anchors_that_multiply_end_the_tool_and_not_the_machine() {
    let mut text = "x-a: &a0 {k: v}\n".to_owned();
    for level in 1..11 {
        let items = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("x-{level}: &a{level} [{items}]\n"));
    }
    text.push_str("services: {web: {image: x}}\n");
    let (_folder, request) = project(&[("compose.yaml", &text)]);
    for loader in [Loader::Tool(compose5()), Loader::Native] {
        assert!(loader.load(&request).is_err());
    }
}
