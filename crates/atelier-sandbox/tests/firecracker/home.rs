//! A home with an image, and control planes that come and go over it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use atelier_api::sandbox::{SandboxDetail, SandboxOptions, SandboxRef, SandboxState};
use atelier_guest::wire::{ProcessConfig, ProcessEvent, StartRequest};
use atelier_image::{DiskKind, StoreOptions};
use atelier_launch::Instance;
use atelier_sandbox::{Fleet, FleetDefaults, FleetFolders, Folders, ImageStore, Places, Sandboxes};
use atelier_store::Store;
use uuid::Uuid;

use crate::stand_in;

/// A static program: it runs in a root without a C library.
const BUSYBOX: &str = "/bin/busybox";
/// Where a machine's user may be: those of jails.
pub const USERS: std::ops::RangeInclusive<u32> = 0x7FFF_0000..=0x7FFF_FFFF;

/// Why these tests can't run here, if they can't. Whoever skips says so.
pub fn unfit(programs: &[&str]) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("only root can make jails".into());
    }
    if let Err(error) = fs::File::options().read(true).write(true).open("/dev/kvm") {
        return Some(format!("/dev/kvm can't be opened: {error}"));
    }
    if let Err(error) = atelier_vm::Kernel::find(None) {
        return Some(error.to_string());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |name: &&&str| std::env::split_paths(&path).any(|dir| dir.join(name).exists());
    let missing = programs.iter().find(|name| !there(name));
    missing.map(|name| format!("there is no program {name}"))
}

/// What the stand-ins need besides.
pub const HELPERS: [&str; 6] = ["busybox", "mkfs.ext4", "mount", "pgrep", "setpriv", "unshare"];

/// Ends the test when it can't run here, and says why.
#[macro_export]
macro_rules! or_skip {
    ($unfit:expr) => {
        if let Some(why) = $unfit {
            println!("SKIPPED: {why}");
            eprintln!("SKIPPED: {why}");
            return;
        }
    };
}

/// A home of its own, with stand-ins for the programs.
pub struct Home {
    pub dir: tempfile::TempDir,
}

/// A control plane, which ends without a word when it is dropped.
pub struct Plane {
    pub fleet: Arc<Fleet>,
    pub mended: Vec<String>,
    pub adopted: usize,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Home {
    /// With the programs of these roles before those of this machine.
    pub fn new(roles: &[&str]) -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap() };
        let programs = home.path("programs");
        fs::create_dir(&programs).unwrap();
        for role in roles {
            stand_in::install(&programs, role, &shared("bin"));
        }
        // Kernels take seconds to unpack, and are the same for all.
        fs::create_dir(home.path("machines")).unwrap();
        symlink(shared("kernels"), home.path("machines/kernels")).unwrap();
        use_programs(&programs);
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn plane(&self) -> Plane {
        plane(self.dir.path())
    }

    pub fn folders(&self, id: &str) -> Folders {
        Folders::of(&self.path("sandboxes"), id.parse::<Uuid>().unwrap())
    }

    /// Who the sandbox is for this machine.
    pub fn instance(&self, id: &str) -> Instance {
        Instance::load(self.folders(id).root()).unwrap().unwrap()
    }

    /// What still belongs to this home: processes that work in it or from it, and mounts.
    pub fn traces(&self) -> Vec<String> {
        let home = self.dir.path();
        let mut found = Vec::new();
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let pid = process.file_name().to_string_lossy().into_owned();
            if !pid.bytes().all(|b| b.is_ascii_digit()) || pid == std::process::id().to_string() {
                continue;
            }
            let links = ["cwd", "root"].map(|link| fs::read_link(process.path().join(link)));
            let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            let ours = links.iter().flatten().any(|link| link.starts_with(home));
            if ours || words.contains(&*home.to_string_lossy()) {
                found.push(format!("process {pid}: {words}"));
            }
        }
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let ours = mounts.lines().filter(|line| line.contains(&*home.to_string_lossy()));
        found.extend(ours.map(str::to_owned));
        found
    }

    /// Fails unless they are gone soon.
    pub fn leaves_nothing(&self) {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !self.traces().is_empty() {
            assert!(std::time::Instant::now() < until, "left: {:#?}", self.traces());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

impl Drop for Home {
    /// Sandboxes outlive control planes, but not their home.
    fn drop(&mut self) {
        for folder in fs::read_dir(self.path("sandboxes")).into_iter().flatten().flatten() {
            if let Ok(Some(instance)) = Instance::load(&folder.path()) {
                drop(instance.kill());
            }
        }
        let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while !self.traces().is_empty() && std::time::Instant::now() < until {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let dir = self.dir.path();
        // A control plane that was dropped may still be writing.
        let gone = || !dir.exists() || fs::remove_dir_all(dir).is_ok();
        while !(no_groups(&group(dir)) && gone()) && std::time::Instant::now() < until {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

/// Removes a home's control groups, when nothing is in them any more.
fn no_groups(name: &str) -> bool {
    let all = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let hierarchies = all.map(|entry| entry.path()).chain(["/sys/fs/cgroup".into()]);
    let mut gone = true;
    for ours in hierarchies.map(|folder| folder.join(name)).filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(&ours).into_iter().flatten().flatten() {
            // Files can't be removed, and need not be.
            drop(fs::remove_dir(entry.path()));
        }
        gone &= fs::remove_dir(&ours).is_ok();
    }
    gone
}

/// The name of a home's control groups.
fn group(home: &Path) -> String {
    format!("atelier-firecracker{}", home.file_name().unwrap().display())
}

/// Processes that are started from now on find the stand-ins.
pub fn use_programs(folder: &Path) {
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", folder.display());
    // SAFETY: each test has a process of its own, which has no other thread yet that looks.
    unsafe { std::env::set_var("PATH", path) };
}

/// A folder that all tests of this build share.
fn shared(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("firecracker").join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Opens the services over a home, and puts right what an earlier one left.
pub fn plane(home: &Path) -> Plane {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let places = Places {
        home: home.to_owned(),
        sandboxes: home.join("sandboxes"),
        bin: if nix::unistd::geteuid().is_root() { shared("bin") } else { home.join("bin") },
        cgroup: group(home),
        criu: None,
    };
    let options = StoreOptions { disk: Some(DiskKind::Ext4), ..StoreOptions::default() };
    let (fleet, mended, adopted) = runtime.block_on(async {
        let images = ImageStore::open(&home.join("images"), options).unwrap();
        let store = Store::open(&home.join("state.db")).await.unwrap();
        let sandboxes = Sandboxes::open(places, store.clone(), images.clone()).unwrap();
        let defaults = FleetDefaults {
            runtime: "firecracker".into(),
            from: "box".into(),
            processes: 512,
            user_home: "/root".into(),
            ..FleetDefaults::default()
        };
        let keys = home.join("keys");
        fs::create_dir_all(&keys).unwrap();
        let folders = FleetFolders {
            keys,
            snapshots: home.join("snapshots"),
            volumes: home.join("volumes"),
            egress_socket: home.join("egress.sock"),
        };
        let fleet = Fleet::open(sandboxes.clone(), store, defaults, folders).await.unwrap();
        let report = sandboxes.reconcile(&std::collections::HashSet::new()).await.unwrap();
        let mut mended = report.mended;
        mended.extend(fleet.recover().await.unwrap());
        if images.get("box").is_err() {
            images.import(&image_root(home), Some("box")).await.unwrap();
        }
        (fleet, mended, report.adopted)
    });
    runtime.spawn(fleet.clone().keep_time(tokio_util::sync::CancellationToken::new()));
    Plane { fleet, mended, adopted, runtime: Some(runtime) }
}

/// The root of the image `box`: BusyBox.
fn image_root(home: &Path) -> PathBuf {
    let root = home.join("box");
    for folder in ["bin", "dev", "etc", "proc", "root", "run", "srv", "sys", "tmp"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let busybox = root.join("bin/busybox");
    fs::copy(BUSYBOX, &busybox).unwrap();
    let applets = Command::new(&busybox).arg("--list").output().unwrap().stdout;
    for applet in String::from_utf8(applets).unwrap().lines().filter(|name| *name != "busybox") {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\n").unwrap();
    root
}

impl Plane {
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.as_ref().unwrap().block_on(work)
    }

    pub fn create(&self) -> SandboxDetail {
        self.wait(self.fleet.create(options())).unwrap()
    }

    /// Runs a command of the shell inside, and gives what it printed.
    pub fn sh(&self, id: &str, command: &str) -> String {
        let limit = std::time::Duration::from_secs(20);
        self.wait(async {
            let run = tokio::time::timeout(limit, self.run(id, command));
            run.await.unwrap_or_else(|_| panic!("{command:?} does not end"))
        })
    }

    async fn run(&self, id: &str, command: &str) -> String {
        let guest = self.fleet.enter(id, false).await.unwrap().guest;
        let process = ProcessConfig {
            cmd: "/bin/sh".into(),
            args: vec!["-c".into(), command.into()],
            ..ProcessConfig::default()
        };
        let request = StartRequest { process, stdin: Some(false), ..StartRequest::default() };
        let mut stream = guest.start(&request).await.unwrap();
        let mut output = Vec::new();
        while let Some(event) = stream.next().await {
            match event.unwrap() {
                ProcessEvent::Data(data) => output.extend_from_slice(&data.bytes),
                ProcessEvent::End(end) => assert_eq!(end.exit_code, 0, "{command}"),
                _ => {}
            }
        }
        String::from_utf8(output).unwrap()
    }

    pub fn state(&self, id: &str) -> SandboxState {
        self.fleet.show(&named(id)).unwrap().sandbox.state
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        // Nothing is finished, as if it had been killed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub fn options() -> SandboxOptions {
    let mut options = SandboxOptions { runtime: Some("firecracker".into()), ..Default::default() };
    options.resources.memory = Some(128 << 20);
    options.resources.disk = Some(64 << 20);
    options
}

pub fn named(id: &str) -> SandboxRef {
    SandboxRef { sandbox: id.to_owned() }
}
