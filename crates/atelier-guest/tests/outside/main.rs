//! `atelier-guest outside`: programs with a network stack beside them. It needs root or a user
//! namespace, and `/dev/net/tun`.
#![cfg(feature = "host")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of tests are tests")]

use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use atelier_guest::outside::{LinkKind, OutsideRequest};
use atelier_launch::{Instance, LaunchError, Process, Report};
use atelier_net::{Addresses, Mode, Policy, control};

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(30);
const NOBODY: u32 = 65534;

/// A sandbox's folder and what is asked for it. What runs of it ends with it.
struct Scene {
    folder: tempfile::TempDir,
    request: OutsideRequest,
    user: Option<u32>,
}

impl Scene {
    fn new(link: LinkKind, program: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let request = OutsideRequest {
            dir: folder.path().to_owned(),
            cgroups: Vec::new(),
            link,
            mtu: None,
            guest_port: (link != LinkKind::None).then_some(49_983),
            policy: Policy::none(),
            rate: None,
            program: program.iter().map(PathBuf::from).collect(),
            env: [("WORD".to_owned(), "as told".to_owned())].into(),
            cwd: "/".into(),
            pid_file: None,
            overlay: None,
            small_pages: false,
            parent: std::process::id(),
        };
        Self { folder, request, user: None }
    }

    /// The same for an ordinary user, where there is a choice.
    fn by_user(mut self) -> Self {
        if nix::unistd::geteuid().is_root() {
            chown(self.folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
            self.user = Some(NOBODY);
        }
        self
    }

    fn launch(&self) -> Result<Instance, LaunchError> {
        let log = std::fs::File::create(self.path("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_atelier-guest"));
        if let Some(id) = self.user {
            command.uid(id).gid(id);
        }
        command.arg("outside").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        let text = serde_json::to_vec(&self.request).unwrap();
        child.stdin.take().unwrap().write_all(&text).unwrap();
        let output = child.wait_with_output().unwrap();
        match serde_json::from_slice(&output.stdout).unwrap() {
            Report::Started(started) => {
                assert_eq!(output.status.code(), Some(0));
                Ok(started.instance)
            }
            Report::Failed(error) => {
                assert_eq!(output.status.code(), Some(6));
                Err(error)
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    /// The names in the sandbox's folder that a launch makes.
    fn left(&self) -> Vec<&'static str> {
        let names = ["pid", "pid.new", "guest.sock", "net.sock"];
        names.into_iter().filter(|name| self.path(name).exists()).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Ok(Some(instance)) = Instance::load(self.folder.path()) {
            let _ = instance.kill();
        }
    }
}

fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < end, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_gone(process: Process) -> bool {
    !process.is_alive()
}

/// Asks the guest for its health through the socket, once.
fn health(scene: &Scene) -> Option<String> {
    let mut stream = UnixStream::connect(scene.path("guest.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.lines().next().map(str::to_owned)
}

/// A guest in the namespace of a TAP device, whose kernel has the addresses.
fn guest_on_a_tap() -> Scene {
    let listen = format!("tcp:{}:49983", Addresses::SANDBOX_V4);
    let guest = env!("CARGO_BIN_EXE_atelier-guest");
    Scene::new(LinkKind::Tap, &[guest, "serve", "--listen", &listen])
}

#[test]
fn a_program_on_a_tap_is_reached_by_root_and_by_an_ordinary_user() {
    for scene in [guest_on_a_tap(), guest_on_a_tap().by_user()] {
        let instance = scene.launch().unwrap();
        wait_until("an answer", || health(&scene).is_some());
        assert_eq!(health(&scene).unwrap(), "HTTP/1.1 204 No Content");
        assert_eq!(Instance::load(scene.folder.path()).unwrap().unwrap(), instance);
        for name in ["guest.sock", "net.sock", "pid"] {
            let mode = std::fs::metadata(scene.path(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert!(control::counters(&scene.path("net.sock")).unwrap().sent > 0);
        control::set_policy(&scene.path("net.sock"), &Policy::default()).unwrap();
        assert!(instance.kill().unwrap());
        wait_until("the end", || is_gone(instance.init) && is_gone(instance.netstack.unwrap()));
    }
}

#[test]
fn the_network_stack_ends_with_the_program_and_not_the_other_way_round() {
    let scene = guest_on_a_tap();
    let instance = scene.launch().unwrap();
    let netstack = instance.netstack.unwrap();
    instance.init.signal(libc::SIGKILL).unwrap();
    wait_until("the stack's end", || is_gone(netstack));

    let scene = guest_on_a_tap();
    let instance = scene.launch().unwrap();
    wait_until("an answer", || health(&scene).is_some());
    instance.netstack.unwrap().signal(libc::SIGKILL).unwrap();
    wait_until("the stack's end", || is_gone(instance.netstack.unwrap()));
    assert!(instance.init.is_alive());
}

#[test]
fn a_program_inherits_its_end_of_a_pair_and_nothing_else() {
    let script = "echo \"$WORD\"; ls -l /proc/self/fd | sed 's/.*[0-9] //'; \
                  cat /proc/self/fdinfo/$0 >/dev/null && echo whole; exec sleep 1000";
    let scene = Scene::new(LinkKind::Pair, &["sh", "-c", script, "{link}"]).by_user();
    let instance = scene.launch().unwrap();
    wait_until("the program's output", || scene.log().contains("whole"));
    let log = scene.log();
    assert!(log.contains("as told"), "{log}");
    assert_eq!(log.matches("-> socket:").count(), 1, "{log}");
    assert!(log.contains("-> /dev/null"), "{log}");
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    let its = std::fs::read_link(format!("/proc/{}/ns/net", instance.init.pid)).unwrap();
    assert_eq!(own, its, "a pair needs no namespace");
}

#[test]
fn a_wire_is_a_device_without_addresses() {
    for scene in [0, 1].map(|user| {
        let script = "cat /proc/net/dev /proc/net/if_inet6 /proc/net/route; echo whole; \
                      exec sleep 1000";
        let scene = Scene::new(LinkKind::Wire, &["sh", "-c", script]);
        if user == 0 { scene } else { scene.by_user() }
    }) {
        scene.launch().unwrap();
        wait_until("the program's output", || scene.log().contains("whole"));
        let log = scene.log();
        assert!(log.contains("eth0:"), "{log}");
        assert_eq!(log.matches("eth0").count(), 1, "no address, no route: {log}");
    }
}

#[test]
fn a_program_without_a_link_has_no_stack() {
    let scene = Scene::new(LinkKind::None, &["sleep", "1000"]);
    let instance = scene.launch().unwrap();
    assert!(instance.netstack.is_none() && instance.is_alive());
    assert_eq!(scene.left(), ["pid"]);
    let mut scene = Scene::new(LinkKind::None, &["sleep", "1000"]);
    scene.request.guest_port = Some(1);
    assert!(scene.launch().unwrap_err().to_string().contains("no link"));
}

#[test]
fn the_process_that_counts_is_the_one_in_the_pid_file() {
    let mut scene = Scene::new(LinkKind::Tap, &["sh", "-c"]);
    let pid_file = scene.path("its pid");
    let script = format!("sleep 1000 & echo $! > '{}'", pid_file.display());
    scene.request.program.push(script.into());
    scene.request.pid_file = Some(pid_file.clone());
    // One that is left from before says nothing.
    std::fs::write(&pid_file, "1").unwrap();
    let instance = scene.launch().unwrap();
    let text = std::fs::read_to_string(&pid_file).unwrap();
    assert_eq!(text.trim(), instance.init.pid.to_string());
    assert_eq!(Instance::load(scene.folder.path()).unwrap().unwrap(), instance);
    let netstack = instance.netstack.unwrap();
    assert!(netstack.is_alive());
    instance.init.signal(libc::SIGKILL).unwrap();
    wait_until("the stack's end", || is_gone(netstack));
}

#[test]
fn a_program_that_fails_leaves_nothing() {
    let failing = |program: &[&str], pid_file: bool| {
        let mut scene = Scene::new(LinkKind::Tap, program);
        scene.request.pid_file = pid_file.then(|| scene.path("its pid"));
        let error = scene.launch().unwrap_err();
        assert_eq!(scene.left(), Vec::<&str>::new(), "{error}");
        error
    };
    let missing = failing(&["/nonexistent/vmm"], false);
    assert_eq!(missing.to_string(), "cannot run /nonexistent/vmm: No such file or directory");
    let code = failing(&["sh", "-c", "exit 3"], true);
    assert!(code.to_string().contains("exit code 3"), "{code}");
    let silent = failing(&["true"], true);
    assert!(silent.to_string().contains("its pid"), "{silent}");
    assert!(failing(&[], false).to_string().contains("none was named"));
}

#[test]
fn nothing_is_started_for_one_that_is_gone() {
    let mut scene = Scene::new(LinkKind::Pair, &["sleep", "1000"]);
    scene.request.parent = 1;
    let error = scene.launch().unwrap_err();
    assert!(error.to_string().contains("the control plane is gone"), "{error}");
    assert!(scene.left().is_empty());
}

#[test]
fn a_policy_travels_with_the_request() {
    let mut scene = Scene::new(LinkKind::Pair, &["sleep", "1000"]);
    scene.request.policy = Policy { mode: Mode::Open, ..Policy::none() };
    let text = serde_json::to_string(&scene.request).unwrap();
    assert_eq!(serde_json::from_str::<OutsideRequest>(&text).unwrap(), scene.request);
}
