//! A service of Podman with storage of its own, for one test.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::wait_until;

/// It runs until this is dropped.
pub struct Podman {
    service: Child,
    /// As `DOCKER_HOST` has it.
    pub address: String,
    storage: PathBuf,
    /// Of an ordinary user: it owns everything, and what stays when the service has ended.
    own: Option<tempfile::TempDir>,
}

/// The user and the group who own nothing.
const NOBODY: u32 = 65534;

/// Starts the service as that user. Its networks need `/dev/net/tun`, which not every test machine lets others open.
const AS_NOBODY: &str = "\
    mknod $0/tun c 10 200; chmod 666 $0/tun
    mkdir -p /dev/net; [ -e /dev/net/tun ] || touch /dev/net/tun
    mount --bind $0/tun /dev/net/tun
    exec setpriv --reuid 65534 --regid 65534 --clear-groups podman system service --time=0 $1";

/// Limits that a test machine without all rights can give, and what it may lack: systemd, journald.
const SETTINGS: &str = "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"runc\"\n\
    [containers]\nlog_driver = \"k8s-file\"\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n";

fn address_in(place: &Path) -> String {
    format!("unix://{}", place.join("podman.sock").display())
}

/// Starts a service whose settings lie in a folder, and waits until it answers there.
fn serve(mut podman: Command, place: &Path) -> Child {
    let service = podman
        .env("TMPDIR", place)
        .env("CONTAINERS_CONF", place.join("containers.conf"))
        .env("CONTAINERS_STORAGE_CONF", place.join("storage.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(place.join("log")).unwrap())
        .spawn()
        .unwrap();
    let socket = place.join("podman.sock");
    wait_until("Podman answers", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
    service
}

impl Podman {
    /// Starts it with everything in a folder.
    pub fn start(folder: &Path) -> Self {
        // Two at once give their first bridges one name: .config/nextest.toml has tests of this name take turns.
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        assert!(
            test.contains("podman"),
            "{test}: a test with a Podman of its own has podman in its name"
        );
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
        let address = address_in(&place);
        let mut podman = Command::new("podman");
        podman.arg("--network-config-dir").arg(place.join("networks"));
        podman.args(["system", "service", "--time=0", &address]);
        let service = serve(podman, &place);
        Self { service, address, storage: root, own: None }
    }

    /// Starts that of an ordinary user, who has no further ids: what runs inside as root is that user.
    pub fn start_rootless() -> Self {
        for program in ["podman", "runc", "slirp4netns"] {
            let found = Command::new(program).arg("--version").output();
            assert!(found.is_ok(), "no {program}: apt-get install podman runc slirp4netns");
        }
        let own = tempfile::Builder::new().prefix("podman-").tempdir_in("/var/tmp").unwrap();
        let place = own.path();
        let storage = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = {:?}\nrunroot = {:?}\n[storage.options.vfs]\n\
             ignore_chown_errors = \"true\"\n",
            place.join("root"),
            place.join("run/storage"),
        );
        fs::write(place.join("storage.conf"), storage).unwrap();
        fs::write(place.join("containers.conf"), SETTINGS).unwrap();
        fs::create_dir(place.join("run")).unwrap();
        for path in [place, &place.join("run")] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let address = address_in(place);
        let mut podman = Command::new("unshare");
        podman.args(["--mount", "--propagation", "private", "sh", "-euc", AS_NOBODY]);
        podman.arg(place).arg(&address).current_dir(place).env_clear();
        podman.env("PATH", std::env::var_os("PATH").unwrap());
        podman.env("HOME", place).env("XDG_RUNTIME_DIR", place.join("run"));
        let service = serve(podman, place);
        Self { service, address, storage: place.join("root"), own: Some(own) }
    }

    /// Ends the process that keeps an ordinary user's namespaces.
    fn end_pause(&self) {
        let Some(own) = &self.own else { return };
        let noted = fs::read_to_string(own.path().join("run/libpod/tmp/pause.pid"));
        if let Ok(pid) = noted.unwrap_or_default().trim().parse::<i32>() {
            let _ = Command::new("kill").arg(pid.to_string()).status();
        }
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // An ordinary user's has started itself once more in its namespaces, and ends when that one does.
        let id = self.service.id().to_string();
        let inner = || Command::new("pkill").args(["-TERM", "-P", &id]).status();
        if self.own.is_none() || !inner().is_ok_and(|done| done.success()) {
            let _ = self.service.kill();
        }
        let _ = self.service.wait();
        self.end_pause();
        // The monitors of health checks linger for minutes; all of them name this test's own folder.
        if let Some(place) = self.storage.parent() {
            let _ = Command::new("pkill").args(["-KILL", "-f", "--"]).arg(place).status();
        }
        // It mounts its storage onto itself.
        let overlay = self.storage.join("overlay");
        let _ = Command::new("umount").arg("-l").arg(overlay).stderr(Stdio::null()).status();
    }
}
