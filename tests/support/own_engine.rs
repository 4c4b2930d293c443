//! A Docker Engine of one test's own: one that may be stopped, or given a disk that is full.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::wait_until;

/// The engine, with everything in it until it is dropped.
pub struct OwnEngine {
    folder: TempDir,
    running: Option<Child>,
}

fn bridge() -> String {
    format!("ate{}", std::process::id())
}

fn ip(args: &[&str]) {
    assert!(Command::new("ip").args(args).status().unwrap().success(), "ip {args:?}");
}

impl OwnEngine {
    /// Starts one.
    pub fn start() -> Self {
        Self::limited(None)
    }

    /// Starts one whose disk has room for so many MiB.
    pub fn limited(mebibytes: Option<u32>) -> Self {
        let folder =
            tempfile::Builder::new().prefix("atelier-engine-").tempdir_in("/var/tmp").unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        let mut engine = Self { folder, running: None };
        if let Some(size) = mebibytes {
            let options = format!("size={size}m");
            let data = engine.data();
            let mount = ["-t", "tmpfs", "-o", &options, "tmpfs", data.to_str().unwrap()];
            assert!(Command::new("mount").args(mount).status().unwrap().success());
        }
        // Each test is a process: a part of its number makes the range its own.
        let address = format!("198.19.{}.1/24", std::process::id() % 250);
        ip(&["link", "add", &bridge(), "type", "bridge"]);
        ip(&["address", "add", &address, "dev", &bridge()]);
        ip(&["link", "set", &bridge(), "up"]);
        engine.go_on();
        engine
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    /// Where everything of it lies.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts it again.
    pub fn go_on(&mut self) {
        let path = self.folder.path();
        // Its rules would be those of the engine that the other tests share. A bridge of its own, since an
        // engine with `--bridge none` takes docker0 away from the others.
        let child = Command::new("dockerd")
            .args(["--bridge", &bridge(), "--iptables=false", "--ip6tables=false"])
            .arg("--data-root")
            .arg(path.join("data"))
            .arg("--exec-root")
            .arg(path.join("run"))
            .arg("--pidfile")
            .arg(path.join("pid"))
            .arg("--host")
            .arg(self.address())
            .stdin(Stdio::null())
            .stdout(fs::File::create(path.join("log")).unwrap())
            .stderr(fs::File::create(path.join("errors")).unwrap())
            .spawn()
            .expect("dockerd is missing: apt-get install docker.io");
        self.running = Some(child);
        let socket = path.join("docker.sock");
        wait_until("the engine answers", || {
            let mut ping = Command::new("curl");
            ping.args(["-fs", "--max-time", "5", "--unix-socket"]).arg(&socket);
            ping.arg("http://engine/_ping").stdout(Stdio::null()).status().unwrap().success()
        });
    }

    /// Stops it, and with it every container.
    pub fn stop(&mut self) {
        let Some(mut child) = self.running.take() else { return };
        // SAFETY: no pointers are passed; the process is this test's own child.
        unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) };
        child.wait().unwrap();
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        self.stop();
        // What is left mounted there keeps the folder from being removed.
        let _ = Command::new("umount").arg("-lq").arg(self.data()).status();
        let _ = Command::new("ip").args(["link", "delete", &bridge()]).status();
    }
}
