//! A service of Podman with storage of its own, for one test.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::wait_until;

/// It runs until this is dropped.
pub struct Podman {
    service: Child,
    /// As `DOCKER_HOST` has it.
    pub address: String,
    storage: std::path::PathBuf,
}

/// Limits that a test machine without all rights can give, and what it may lack: systemd, journald.
const SETTINGS: &str = "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"runc\"\n\
    [containers]\nlog_driver = \"k8s-file\"\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n";

impl Podman {
    /// Starts it with everything in a folder.
    pub fn start(folder: &Path) -> Self {
        for program in ["podman", "runc"] {
            let found = Command::new(program).arg("--version").output();
            assert!(found.is_ok(), "no {program}: apt-get install podman runc catatonit");
        }
        let place = folder.join("podman");
        fs::create_dir(&place).unwrap();
        fs::write(place.join("containers.conf"), SETTINGS).unwrap();
        let (root, run) = (place.join("root"), place.join("run"));
        let storage =
            format!("[storage]\ndriver = \"overlay\"\ngraphroot = {root:?}\nrunroot = {run:?}\n");
        fs::write(place.join("storage.conf"), storage).unwrap();
        let socket = place.join("podman.sock");
        let address = format!("unix://{}", socket.display());
        let service = Command::new("podman")
            .arg("--network-config-dir")
            .arg(place.join("networks"))
            .args(["system", "service", "--time=0", &address])
            .env("CONTAINERS_CONF", place.join("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", place.join("storage.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(place.join("log")).unwrap())
            .spawn()
            .unwrap();
        wait_until("Podman answers", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
        Self { service, address, storage: root }
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
        // It mounts its storage onto itself.
        let overlay = self.storage.join("overlay");
        let _ = Command::new("umount").arg("-l").arg(overlay).stderr(Stdio::null()).status();
    }
}
