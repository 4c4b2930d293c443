//! A container engine for tests, and projects with services for it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::Lab;

/// The image of every service: busybox with all its programs.
const IMAGE: &str = "atelier-test:1";

/// The engine that this test has for itself.
static OWN: OnceLock<String> = OnceLock::new();

/// The engine's address.
fn engine() -> String {
    if let Some(own) = OWN.get() {
        return own.clone();
    }
    std::env::var("ATELIER_TEST_ENGINE").unwrap_or_else(|_| {
        panic!("no container engine: run scripts/test, or scripts/with-engine cargo nextest run")
    })
}

/// The Compose program; none for the tests that are run once more without it.
pub(super) fn compose() -> String {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    if test.starts_with("services_without_compose::") {
        return "native".to_owned();
    }
    std::env::var("ATELIER_TEST_COMPOSE").unwrap_or_else(|_| {
        panic!("no Docker Compose: run scripts/test, or name its program in ATELIER_TEST_COMPOSE")
    })
}

impl Lab {
    /// With a project that has these services.
    pub fn with_services(project: &str, compose_file: &str) -> Self {
        Self::with_services_at(&engine(), project, compose_file)
    }

    /// The same with an engine of the test's own.
    pub fn with_services_at(address: &str, project: &str, compose_file: &str) -> Self {
        let mut lab = Self::bare(project);
        lab.serve_with_engine_at(address);
        lab.write("compose.yaml", compose_file);
        lab.write("site/index.html", "hello\n");
        lab.git(&["init", "-q", "-b", "main"]);
        lab.git(&["add", "-A"]);
        lab.git(&["commit", "-q", "-m", "first"]);
        lab
    }

    /// The same with a Podman of its own, driven by this Compose, or by none (`native`).
    pub fn with_podman(project: &str, compose_file: &str, driver: &str) -> Self {
        let mut lab = Self::bare(project);
        let podman = super::podman::Podman::start(lab.folder.path());
        OWN.set(podman.address.clone()).unwrap();
        lab.podman = Some(podman);
        lab.serve_with_engine();
        let driver = if driver == "compose" { compose() } else { driver.to_owned() };
        lab.set("ATELIER_COMPOSE", &driver);
        lab.write("compose.yaml", compose_file);
        lab.write("site/index.html", "hello\n");
        lab
    }

    /// The same with the Podman of an ordinary user.
    pub fn with_rootless_podman(project: &str, compose_file: &str) -> Self {
        let mut lab = Self::bare(project);
        let podman = super::podman::Podman::start_rootless();
        OWN.set(podman.address.clone()).unwrap();
        lab.podman = Some(podman);
        lab.serve_with_engine();
        lab.set("ATELIER_COMPOSE", "native");
        lab.write("compose.yaml", compose_file);
        lab
    }

    /// From now on with the engine of the tests, which gets the image.
    pub fn serve_with_engine(&mut self) {
        self.serve_with_engine_at(&engine());
    }

    fn serve_with_engine_at(&mut self, address: &str) {
        image(&self.user_home(), address);
        self.variables = vec![
            ("ATELIER_ENGINE", address.to_owned()),
            ("ATELIER_COMPOSE", compose()),
            ("ATELIER_SUBNETS", subnets()),
            ("ATELIER_SHARED_GRACE", "1s".into()),
        ];
    }

    /// One of the variables that the binary gets.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.variables.iter().find(|(own, _)| *own == name).map(|(_, value)| value.clone())
    }

    /// Where the engine of its own answers.
    pub fn address(&self) -> String {
        self.podman.as_ref().unwrap().address.clone()
    }

    /// Takes a variable away again.
    pub fn unset(&mut self, name: &str) {
        self.variables.retain(|(own, _)| *own != name);
    }

    /// Starts the binary's control plane anew with one more variable.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.variables.retain(|(own, _)| *own != name);
        self.variables.push((name, value.to_owned()));
    }
}

/// What the engine answers to a GET.
pub fn ask_engine(path: &str) -> serde_json::Value {
    let answer = curl(&["--fail"], path).output().unwrap();
    serde_json::from_slice(&answer.stdout).unwrap_or_default()
}

/// Tells the engine to do something.
pub fn tell_engine(method: &str, path: &str) {
    let done = curl(&["--fail", "-X", method], path).output().unwrap();
    assert!(done.status.success(), "{method} {path}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Sends the engine a document.
pub fn send_engine(path: &str, document: &serde_json::Value) {
    let text = document.to_string();
    let args = ["--fail", "-H", "Content-Type: application/json", "--data-binary", &text];
    let done = curl(&args, path).output().unwrap();
    assert!(done.status.success(), "{path}: {}", String::from_utf8_lossy(&done.stderr));
}

/// The containers with a label, running or not, as the engine lists them.
pub fn containers(label: &str) -> Vec<serde_json::Value> {
    containers_at(&engine(), label)
}

/// The same of an engine of the test's own.
pub fn containers_at(address: &str, label: &str) -> Vec<serde_json::Value> {
    let filter = format!("%7B%22label%22%3A%5B%22{}%22%5D%7D", label.replace('=', "%3D"));
    let path = format!("/containers/json?all=1&filters={filter}");
    let listed = curl_at(address, &["--fail"], &path).output().unwrap();
    serde_json::from_slice(&listed.stdout).unwrap()
}

fn curl(args: &[&str], path: &str) -> Command {
    curl_at(&engine(), args, path)
}

fn curl_at(address: &str, args: &[&str], path: &str) -> Command {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "120"]).args(args);
    match address.strip_prefix("unix://") {
        Some(socket) => command.args(["--unix-socket", socket]).arg(format!("http://engine{path}")),
        None => command.arg(format!("{}{path}", address.replace("tcp://", "http://"))),
    };
    command.stdin(Stdio::null());
    command
}

/// A range of its own for each test: they share the engine, but not the homes. From 10.96 on, since
/// Podman's own network is 10.88.0.0/16.
fn subnets() -> String {
    let number = std::process::id() % 2048;
    format!("10.{}.{}.0/20", 96 + number / 16, number % 16 * 16)
}

/// Sees to it that an engine has the image, by way of a folder of the test's own.
pub(super) fn image(folder: &Path, address: &str) {
    let there = curl_at(address, &["--fail"], &format!("/images/{IMAGE}/json")).output().unwrap();
    if there.status.success() {
        return;
    }
    let root = folder.join("image");
    fs::create_dir_all(root.join("bin")).unwrap();
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|p| Path::new(p).exists());
    let busybox = busybox.expect("busybox is missing: apt-get install busybox-static");
    fs::copy(busybox, root.join("bin/busybox")).unwrap();
    let listed = Command::new(busybox).arg("--list").output().unwrap();
    for program in String::from_utf8(listed.stdout).unwrap().lines().filter(|p| *p != "busybox") {
        symlink("busybox", root.join("bin").join(program)).unwrap();
    }
    fs::create_dir(root.join("tmp")).unwrap();
    let archive = folder.join("image.tar");
    let tar = Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&root).arg(".").status();
    assert!(tar.unwrap().success());
    let (repo, tag) = IMAGE.split_once(':').unwrap();
    let file = format!("@{}", archive.display());
    let args =
        ["--fail", "-X", "POST", "-H", "Content-Type: application/x-tar", "--data-binary", &file];
    let done = curl_at(address, &args, &format!("/images/create?fromSrc=-&repo={repo}&tag={tag}"))
        .output();
    let done = done.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    // Podman names what is imported by itself.
    let said: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let id = said["status"].as_str().unwrap();
    let path = format!("/images/{id}/tag?repo={repo}&tag={tag}");
    let named = curl_at(address, &["--fail", "-X", "POST"], &path).output().unwrap();
    assert!(named.status.success(), "{}", String::from_utf8_lossy(&named.stderr));
}
