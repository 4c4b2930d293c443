//! What the tests boot: this host's QEMU and kernel, the static guest, and a small image made of
//! this host's own files.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use atelier_api::sandbox::Rates;
use atelier_guest::client::Guest;
use atelier_guest::outside::{GUEST_SOCKET, LinkKind, OutsideRequest};
use atelier_guest::wire::{InitRequest, ProcessConfig, ProcessEvent, StartRequest};
use atelier_net::Policy;
use atelier_vm::qemu::{Accelerator, Qemu};
use atelier_vm::{BootFiles, Kernel, Machine};

pub const LIMIT: Duration = Duration::from_secs(90);
pub const PORT: u16 = 49983;
pub const DISK: u64 = 64 << 20;

/// What is made once for all tests of a process.
pub struct Host {
    pub qemu: Qemu,
    pub boot: BootFiles,
    pub accelerator: Accelerator,
    pub base: PathBuf,
    pub cache: PathBuf,
}

/// The host, or none, with the reason printed, where machines can't run.
pub fn host() -> Option<&'static Host> {
    static HOST: OnceLock<Option<Host>> = OnceLock::new();
    HOST.get_or_init(|| match make() {
        Ok(host) => Some(host),
        Err(why) => {
            eprintln!("skipped: {why}");
            None
        }
    })
    .as_ref()
}

fn make() -> Result<Host, String> {
    let qemu = Qemu::find(None).map_err(|error| error.to_string())?;
    let kernel = Kernel::find(None).map_err(|error| error.to_string())?;
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("qemu");
    fs::create_dir_all(&cache).map_err(|error| error.to_string())?;
    let guest = guest();
    let boot = kernel.prepare(&guest, &cache.join("kernels")).map_err(|e| e.to_string())?;
    let choice = qemu.choose(&boot, &cache).map_err(|e| e.to_string())?;
    let base = image(&cache)?;
    Ok(Host { qemu, boot, accelerator: choice.accelerator, base, cache })
}

/// The static guest with the feature `machine`, as the product carries it: built here, in a target
/// folder of its own.
pub fn guest() -> PathBuf {
    if let Some(path) = std::env::var_os("ATELIER_TEST_GUEST") {
        return path.into();
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest");
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let status = Command::new(env!("CARGO"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .args(["build", "--locked", "--package", "atelier-guest", "--bin", "atelier-guest"])
        .args(["--no-default-features", "--features", "serve,host,machine", "--profile", "guest"])
        .args(["--target", &triple, "--target-dir"])
        .arg(&target)
        .env("RUSTFLAGS", "-C target-feature=+crt-static -C relocation-model=static")
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "the guest does not build");
    target.join(triple).join("guest/atelier-guest")
}

/// An ext4 image with a shell and a few programs of this host, and the libraries that they need.
fn image(cache: &Path) -> Result<PathBuf, String> {
    let path = cache.join("image.ext4");
    let lock = fs::File::create(cache.join("image.lock")).unwrap();
    lock.lock().unwrap();
    if path.exists() {
        return Ok(path);
    }
    let root = tempfile::tempdir().unwrap();
    for folder in ["bin", "etc", "tmp"] {
        fs::create_dir(root.path().join(folder)).unwrap();
    }
    fs::write(root.path().join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    for program in ["sh", "cat", "hostname", "sleep", "od", "dd", "sync", "date"] {
        let Some(from) = ["/bin", "/usr/bin"]
            .iter()
            .map(|it| Path::new(it).join(program))
            .find(|it| it.exists())
        else {
            return Err(format!("there is no {program} to make an image of"));
        };
        fs::copy(&from, root.path().join("bin").join(program)).unwrap();
        let listed = Command::new("ldd").arg(&from).output().map_err(|e| e.to_string())?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        for library in listed.split_whitespace().filter(|word| word.starts_with('/')) {
            let to = root.path().join(&library[1..]);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(library, to).unwrap();
        }
    }
    let fresh = cache.join("image.new");
    let made = Command::new("mkfs.ext4")
        .args(["-q", "-F", "-d"])
        .arg(root.path())
        .arg(&fresh)
        .arg("32M")
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .status()
        .map_err(|error| error.to_string())?;
    assert!(made.success());
    fs::rename(fresh, &path).unwrap();
    Ok(path)
}

pub fn machine() -> Machine {
    Machine { cpus: 1, memory_mib: 256, port: PORT, mtu: 1500 }
}

/// A running monitor with a way to its guest; both end with the value.
pub struct Running {
    pub pid: i32,
    pub guest: Guest,
    pub dir: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        // The network stack ends when it sees that the monitor has.
        // SAFETY: no pointers.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }
}

/// Runs a command of ours as the product does: with our network stack at the other end of its link.
pub fn run(words: Vec<OsString>, dir: tempfile::TempDir) -> Running {
    let request = OutsideRequest {
        dir: dir.path().to_owned(),
        cgroups: Vec::new(),
        link: LinkKind::Pair,
        mtu: Some(1500),
        guest_port: Some(PORT),
        policy: Policy::default(),
        rate: None,
        program: words.into_iter().map(PathBuf::from).collect(),
        env: BTreeMap::new(),
        cwd: dir.path().to_owned(),
        pid_file: None,
        overlay: None,
        small_pages: false,
        parent: std::process::id(),
    };
    let mut child = Command::new(guest())
        .arg("outside")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(fs::File::create(dir.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    serde_json::to_writer(child.stdin.take().unwrap(), &request).unwrap();
    let output = child.wait_with_output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let pid = report.pointer("/started/instance/init/pid").and_then(serde_json::Value::as_i64);
    let pid = pid.unwrap_or_else(|| panic!("{report}"));
    let guest = Guest::new(dir.path().join(GUEST_SOCKET));
    Running { pid: i32::try_from(pid).unwrap(), guest, dir }
}

impl Running {
    /// Boots a machine with a layer disk of its own.
    pub fn boot(host: &Host) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layer = dir.path().join(atelier_vm::qemu::LAYER);
        atelier_vm::layer::make(&layer, DISK, &host.cache.join("disks")).unwrap();
        let words = host
            .qemu
            .boot(
                host.accelerator,
                &host.boot,
                &host.base,
                dir.path(),
                &machine(),
                Rates::default(),
            )
            .unwrap();
        let running = run(words, dir);
        host.qemu.wait_ready(running.dir.path(), LIMIT).unwrap_or_else(|error| {
            let log = fs::read_to_string(running.dir.path().join("log"));
            panic!("{error}; monitor: {log:?}")
        });
        running
    }

    /// Whether the monitor is there.
    pub fn is_on(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid));
        stat.is_ok_and(|text| !text.contains(") Z "))
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Waits until the guest answers.
    pub async fn answers(&self) {
        let until = Instant::now() + LIMIT;
        while let Err(error) = self.guest.health().await {
            assert!(Instant::now() < until, "{error}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// What a shell in the machine prints.
    pub async fn shell(&self, script: &str) -> String {
        let request = StartRequest {
            process: ProcessConfig {
                cmd: "/bin/sh".into(),
                args: vec!["-c".into(), script.into()],
                ..ProcessConfig::default()
            },
            ..StartRequest::default()
        };
        let mut stream = self.guest.start(&request).await.unwrap();
        let mut text = Vec::new();
        while let Some(event) = stream.next().await {
            match event.unwrap() {
                ProcessEvent::Data(data) => text.extend(data.bytes),
                ProcessEvent::End(_) => break,
                _ => {}
            }
        }
        String::from_utf8(text).unwrap()
    }

    /// Gives a copy what is its own.
    pub async fn renew(&self, hostname: &str, entropy: &[u8]) {
        use base64::Engine as _;
        let settings = InitRequest {
            timestamp: Some(jiff::Timestamp::now().to_string()),
            hostname: Some(hostname.to_owned()),
            entropy: Some(base64::engine::general_purpose::STANDARD.encode(entropy)),
            ..InitRequest::default()
        };
        self.guest.init(&settings).await.unwrap();
    }

    /// KiB that only this monitor has.
    pub fn private_memory(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid)).unwrap();
        text.lines()
            .filter(|line| line.starts_with("Private_Dirty"))
            .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
            .sum()
    }
}
