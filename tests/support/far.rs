//! A machine of its own for tests of far hosts: a network namespace behind a cable of two virtual
//! interfaces, with a real SSH server, a home folder, and maybe a container engine.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::{Lab, PATIENCE, engine};

/// The far machine.
pub struct FarHost {
    folder: tempfile::TempDir,
    namespace: String,
    pub address: Ipv4Addr,
    sshd: Child,
    engine: Option<Child>,
}

/// Runs a program that must succeed.
fn must(program: &str, args: &[&str]) {
    let done = Command::new(program).args(args).stdin(Stdio::null()).output();
    let done = done.unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(done.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

impl FarHost {
    /// Makes it: cable, keys, server.
    pub fn new() -> Self {
        let folder =
            tempfile::Builder::new().prefix("atelier-far-").tempdir_in("/var/tmp").unwrap();
        let number = std::process::id() % 30_000;
        let namespace = format!("atl{number}");
        // Addresses that belong to nobody (RFC 2544), four for each cable.
        let base = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + number * 4;
        let (near, address) = (Ipv4Addr::from(base + 1), Ipv4Addr::from(base + 2));
        let cable = format!("{namespace}n");
        must("ip", &["netns", "add", &namespace]);
        let peer = ["peer", "name", "eth0", "netns", &namespace];
        must("ip", &[&["link", "add", &cable, "type", "veth"], &peer[..]].concat());
        must("ip", &["addr", "add", &format!("{near}/30"), "dev", &cable]);
        must("ip", &["link", "set", &cable, "up"]);
        for words in [
            &["addr", "add", &format!("{address}/30"), "dev", "eth0"][..],
            &["link", "set", "eth0", "up"],
            &["link", "set", "lo", "up"],
        ] {
            must("ip", &[&["-n", &namespace], words].concat());
        }
        fs::create_dir_all("/run/sshd").unwrap();
        let sshd = serve(folder.path(), &namespace, address);
        Self { folder, namespace, address, sshd, engine: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The key that it knows.
    pub fn key(&self) -> PathBuf {
        self.path("key")
    }

    /// The file of the hosts that a user knows.
    pub fn known_hosts(&self) -> PathBuf {
        self.path("known")
    }

    /// Its user's home folder.
    pub fn user_home(&self) -> PathBuf {
        self.path("user")
    }

    /// Atelier's home there.
    pub fn home(&self) -> PathBuf {
        self.user_home().join(".atelier")
    }

    /// Makes its key known, as a user does who compared it.
    pub fn trust(&self) {
        let key = fs::read_to_string(self.path("host.pub")).unwrap();
        let mut words = key.split_whitespace();
        let (kind, key) = (words.next().unwrap(), words.next().unwrap());
        fs::write(self.known_hosts(), format!("{} {kind} {key}\n", self.address)).unwrap();
    }

    /// Names it `far`.
    pub fn add_to(&self, lab: &Lab) {
        let known = format!("UserKnownHostsFile={}", self.known_hosts().display());
        let at = format!("root@{}", self.address);
        let key = self.key().display().to_string();
        lab.ok(&["host", "add", "far", &at, "--identity", &key, "-o", &known]);
    }

    /// A program on that machine.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = enter(&self.namespace);
        command.arg(program.as_ref());
        command.env("HOME", self.user_home()).env("ATELIER_HOME", self.home()).stdin(Stdio::null());
        command
    }

    /// Plugs the cable in or out.
    pub fn cable(&self, up: bool) {
        let cable = format!("{}n", self.namespace);
        must("ip", &["link", "set", &cable, if up { "up" } else { "down" }]);
    }

    /// The folder on it that mirrors the one project that was sent there.
    pub fn mirror(&self) -> PathBuf {
        let mirrors = self.user_home().join(".atelier-mirrors");
        let mut found = walk(&mirrors, 3);
        found.retain(|path| path.extension().is_none_or(|e| e != "tmp"));
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    /// Starts a container engine there and makes it the one of its Atelier.
    pub fn start_engine(&mut self) {
        let folder = self.folder.path().to_owned();
        let at = |name: &str| folder.join(name).display().to_string();
        let address = format!("unix://{}", at("docker.sock"));
        let (data, run, pid) = (at("data"), at("run"), at("pid"));
        let args =
            ["--data-root", &data, "--exec-root", &run, "--pidfile", &pid, "--host", &address];
        let log = fs::File::create(self.path("engine.log")).unwrap();
        let mut engine = self.command("dockerd");
        engine.args(args).stdout(log.try_clone().unwrap()).stderr(log);
        self.engine = Some(engine.spawn().unwrap());
        let began = Instant::now();
        while !Command::new("curl")
            .args([
                "-fsS",
                "--max-time",
                "5",
                "--unix-socket",
                &at("docker.sock"),
                "http://e/_ping",
            ])
            .output()
            .unwrap()
            .status
            .success()
        {
            let log = fs::read_to_string(self.path("engine.log")).unwrap_or_default();
            assert!(began.elapsed() < PATIENCE, "the engine does not start: {log}");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let services =
            format!("services:\n  engine: {address}\n  compose: {}\n", engine::compose());
        let path = self.home().join("config.yaml");
        let text = fs::read_to_string(&path).unwrap() + &services;
        fs::write(path, text).unwrap();
        engine::image(&self.user_home(), &address);
    }
}

/// The folders so many levels below one.
fn walk(folder: &Path, depth: u32) -> Vec<PathBuf> {
    if depth == 0 {
        return vec![folder.to_owned()];
    }
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| walk(&path, depth - 1)).collect()
}

/// The network alone: `ip netns exec` would take the control groups out of sight.
fn enter(namespace: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{namespace}"));
    command
}

/// Keys, settings and the server itself.
fn serve(folder: &Path, namespace: &str, address: Ipv4Addr) -> Child {
    let at = |name: &str| folder.join(name).display().to_string();
    for key in ["host", "key", "stranger"] {
        must("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &at(key)]);
    }
    fs::copy(folder.join("key.pub"), folder.join("authorized")).unwrap();
    fs::set_permissions(folder.join("authorized"), fs::Permissions::from_mode(0o600)).unwrap();
    let home = folder.join("user");
    fs::create_dir_all(home.join(".atelier")).unwrap();
    fs::set_permissions(home.join(".atelier"), fs::Permissions::from_mode(0o700)).unwrap();
    // Its loopback is its own, but for the moment of a test two may share a machine.
    let settings = "ingress: 127.0.0.1:0\nssh: off\ndns: {listen: off}\n";
    fs::write(home.join(".atelier/config.yaml"), settings).unwrap();
    let config = format!(
        "ListenAddress {address}:22\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\n\
         PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         UsePAM no\nPidFile none\nSetEnv HOME={}\n",
        at("host"),
        at("authorized"),
        home.display()
    );
    fs::write(folder.join("sshd_config"), config).unwrap();
    let log = fs::File::create(folder.join("sshd.log")).unwrap();
    let sshd = enter(namespace)
        .args(["/usr/sbin/sshd", "-D", "-e", "-f", &at("sshd_config")])
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !fs::read_to_string(folder.join("sshd.log")).unwrap().contains("Server listening") {
        let log = fs::read_to_string(folder.join("sshd.log")).unwrap();
        assert!(began.elapsed() < PATIENCE, "sshd does not start: {log}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    sshd
}

impl Drop for FarHost {
    fn drop(&mut self) {
        if let Some(engine) = &mut self.engine {
            let pid = fs::read_to_string(self.folder.path().join("pid")).unwrap_or_default();
            if let Ok(pid) = pid.trim().parse() {
                // SAFETY: kill(2) takes numbers alone.
                unsafe { libc::kill(pid, libc::SIGTERM) };
            }
            let _ = engine.wait();
        }
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
        // Everything that runs in the namespace is of this test.
        let pids = Command::new("ip").args(["netns", "pids", &self.namespace]).output();
        let pids = pids.map(|done| String::from_utf8_lossy(&done.stdout).into_owned());
        for pid in pids.unwrap_or_default().lines().filter_map(|line| line.parse().ok()) {
            // SAFETY: as above.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        let _ = Command::new("ip").args(["netns", "del", &self.namespace]).status();
        let cable = format!("{}n", self.namespace);
        let _ = Command::new("ip").args(["link", "del", &cable]).stderr(Stdio::null()).status();
    }
}
