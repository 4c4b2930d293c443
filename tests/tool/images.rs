//! Images that a tool runs: pinned by the digest that a registry tells, run by it, and brought to a newer one by an
//! upgrade. The registry is of the test's own; the engine is Docker's, and for a service also Podman's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::Shed;
use crate::support::{Podman, ask, wait_until};

/// A registry that ends with the test.
struct Registry {
    process: Child,
    host: String,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Registry {
    fn start(folder: &Path) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let settings = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{host}'}}\n",
            folder.join("images").display()
        );
        let file = folder.join("registry.yml");
        fs::write(&file, settings).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("apt-get install docker-registry");
        wait_until("the registry answers", || std::net::TcpStream::connect(&host).is_ok());
        Self { process, host }
    }
}

/// Runs `docker` with the engine of a shed; what it prints.
fn docker(shed: &Shed, line: &str) -> String {
    let own = shed.lab.command::<&str>(&[]);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("docker {line}")]).env_clear();
    command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let done = command.output().unwrap();
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// A shed whose commands reach this engine, with `docker compose`.
fn with_engine(address: &str) -> Shed {
    let mut shed = Shed::new();
    shed.lab.set("DOCKER_HOST", address);
    let compose = std::env::var("ATELIER_TEST_COMPOSE").expect("scripts/test names Docker Compose");
    let plugins = shed.lab.user_home().join(".docker/cli-plugins");
    fs::create_dir_all(&plugins).unwrap();
    symlink(compose, plugins.join("docker-compose")).unwrap();
    shed
}

fn docker_engine() -> Shed {
    with_engine(&std::env::var("ATELIER_TEST_ENGINE").expect("scripts/with-engine starts one"))
}

/// BusyBox that says which one it is.
fn image(shed: &Shed, name: &str, word: &str) {
    let root = shed.lab.user_home().join(format!("image-{word}"));
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for applet in ["sh", "cat", "sleep", "httpd", "echo"] {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("which"), format!("{word}\n")).unwrap();
    let line =
        format!("version >/dev/null; tar -C {} -c . | docker import - {name}", root.display());
    docker(shed, &line);
}

#[test]
fn an_image_is_run_by_the_digest_that_its_registry_told_until_an_upgrade() {
    let shed = docker_engine();
    let registry = Registry::start(&shed.lab.user_home());
    let name = format!("{}/box", registry.host);
    let tagged = format!("{name}:1");
    let publish = |word: &str| {
        image(&shed, &tagged, word);
        docker(&shed, &format!("push -q {tagged}"));
        docker(&shed, &format!("rmi {tagged}"));
    };
    publish("first");
    let plugin = format!(
        "schema_version: atelier/1\nname: boxed\ndescription: in a container\nservice: {{type: docker, image: '{tagged}', command: [sleep, '1000']}}\n\
         mcp: {{transport: stdio, command: docker, args: [run, --rm, -i, '{tagged}', cat, /which]}}\n"
    );
    shed.publish("boxed", &[("plugin.yaml", &plugin)]);
    shed.init();
    shed.ok(&["add", "boxed", "--yes"]);
    let pinned = |field: &str| {
        shed.json(&["show", "boxed"])["packages"][0][field].as_str().unwrap().to_owned()
    };
    let first = pinned("digest");
    assert_eq!((pinned("name"), pinned("version")), (name.clone(), "1".into()));
    assert!(first.starts_with("sha256:"), "{first}");
    assert_eq!(shed.json(&["show", "boxed"])["unpinned"], json!([]));

    // The tag moves, here and in the registry.
    publish("second");
    docker(&shed, &format!("pull -q {tagged}"));
    assert_eq!(docker(&shed, &format!("run --rm {tagged} cat /which")), "second");
    assert_eq!(shed.ok(&["exec", "boxed"]).trim(), "first", "what the lock says");
    shed.ok(&["start", "boxed"]);
    let running = "inspect --format '{{.Config.Image}}' atelier-tool-boxed";
    assert_eq!(docker(&shed, running), format!("{name}@{first}"));
    assert_eq!(shed.json(&["status", "boxed"])[0]["state"], "running");

    shed.ok(&["upgrade", "boxed", "--yes"]);
    assert_ne!(pinned("digest"), first);
    assert_eq!(shed.ok(&["exec", "boxed"]).trim(), "second");
    assert_eq!(docker(&shed, running), format!("{name}@{}", pinned("digest")), "it runs anew");
    shed.ok(&["remove", "boxed", "--yes"]);
    assert_eq!(docker(&shed, "ps -aq --filter label=io.atelier.tool=boxed"), "");
    docker(&shed, &format!("rmi -f $(docker images -q {name})"));
}

/// A service of Compose, with a volume, through all of its life.
fn compose_service(shed: &Shed) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    image(shed, "localhost/atelier-tools-web:1", "web");
    let plugin = format!(
        "schema_version: atelier/1\nname: Web\ndescription: serves\nservice: {{type: docker-compose}}\nports: [{{port: {port}}}]\ndata: [{{volume: things}}]\n"
    );
    let compose = format!(
        "services:\n  web:\n    image: localhost/atelier-tools-web:1\n    init: true\n    command: [sh, -c, 'echo $$WORD > /things/index.html; httpd -f -p 80 -h /things']\n    environment: {{WORD: well}}\n    volumes: ['things:/things']\n    ports: ['127.0.0.1:{port}:80']\nvolumes: {{things: {{}}}}\n"
    );
    let name = format!("web-{}", std::process::id());
    shed.publish(&name, &[("plugin.yaml", &plugin), ("compose.yaml", &compose)]);
    shed.init();
    shed.ok(&["add", &name, "--yes"]);
    shed.ok(&["start", &name]);
    let address = format!("127.0.0.1:{port}");
    let body = || ask(&address, "GET", "/index.html", &[]).body;
    wait_until("it serves", || {
        std::net::TcpStream::connect(&address).is_ok() && body() == "well\n"
    });
    let status = shed.json(&["status", &name]);
    assert_eq!(status[0]["state"], "running", "{status}");
    shed.ok(&["backup", &name]);
    assert!(shed.ok(&["logs", &name]).len() < 10_000);
    shed.ok(&["restore", &name, "--yes"]);
    assert_eq!(shed.json(&["status", &name])[0]["state"], "running");
    shed.ok(&["stop", &name]);
    assert_eq!(shed.json(&["status", &name])[0]["state"], "stopped");
    shed.ok(&["remove", &name, "--yes"]);
    docker(shed, &format!("volume rm {name}_things"));
}

#[test]
fn a_service_of_compose_lives_with_docker() {
    compose_service(&docker_engine());
}

#[test]
fn a_service_of_compose_lives_with_podman() {
    let folder = tempfile::tempdir().unwrap();
    let podman = Podman::start(folder.path());
    compose_service(&with_engine(&podman.address));
}
