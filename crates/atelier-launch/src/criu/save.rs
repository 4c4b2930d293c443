//! Saving: the sandbox is frozen before and after, and has changed nothing in between.

use std::collections::HashSet;
use std::fs::{File, Permissions};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::park::{guest_of, unpark};
use super::{Criu, GUEST_PID, Run, complaints, inventory, open_dir, place, usual};
use crate::error::{At as _, LaunchError, Result};
use crate::{sys, wire};

/// The input of `atelier-guest save`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaveRequest {
    /// What saves.
    pub criu: Criu,
    /// PID 1 of the sandbox, which was frozen after [`super::park`].
    pub init: i32,
    /// Its cgroups; one of them froze it.
    #[serde(with = "wire::paths")]
    pub cgroups: Vec<PathBuf>,
    /// The empty folder that it is saved into.
    #[serde(with = "wire::path")]
    pub into: PathBuf,
    /// The process that asks, and lets the sandbox go on.
    pub parent: u32,
}

/// What a restore must know beside CRIU's images: `saved.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Saved {
    /// CRIU's name of the guest's program, which is this machine's.
    pub program: String,
    /// Its names of the logs that the guest writes to.
    pub logs: Vec<String>,
    /// Its name of the socket that the guest serves at.
    pub listener: String,
    /// An id that no process has, nor one of the next few: CRIU's own, while it restores.
    pub free: i32,
}

pub(super) const IMAGES: &str = "images";
pub(super) const PROGRAM: &str = "guest";
pub(super) const SAVED: &str = "saved.json";
/// An empty folder.
pub(super) const NOTHING: &str = "nothing";
/// How large a file may be that is open and has no name, in bytes: it is part of what is saved.
const GHOST: u32 = 256 << 20;

/// Saves the processes of a sandbox. Its guest serves again when the sandbox is not frozen any
/// more, however this ends.
///
/// # Errors
/// With CRIU's own reason when it refuses; nothing has happened to the processes then.
pub fn save(request: &SaveRequest) -> Result<()> {
    let done = save_parked(request);
    unpark(request.init)?;
    if std::os::unix::process::parent_id() != request.parent {
        thaw(&request.cgroups);
    }
    done
}

/// For one who is gone: nobody else knows that the sandbox should run.
fn thaw(cgroups: &[PathBuf]) {
    for dir in cgroups {
        for (file, word) in [("cgroup.freeze", "0"), ("freezer.state", "THAWED")] {
            if dir.join(file).exists() {
                let _ = std::fs::write(dir.join(file), word);
            }
        }
    }
}

fn save_parked(request: &SaveRequest) -> Result<()> {
    let guest = guest_of(request.init)?;
    let into = &request.into;
    for name in [IMAGES, NOTHING] {
        let folder = into.join(name);
        std::fs::create_dir(&folder).at("make the directory", &folder)?;
    }
    let images = open_dir(&into.join(IMAGES))?;
    let nothing = open_dir(&into.join(NOTHING))?;
    let log = into.join("log");
    let said = File::create(&log).at("make", &log)?;
    let freezer = freezer(&request.cgroups)?;
    let program = File::open(format!("/proc/{guest}/exe")).step("open the guest's program")?;
    let saved = Saved {
        program: named(Path::new("/proc/self/fdinfo"), program.as_raw_fd(), &program)?,
        logs: logs(guest)?,
        listener: listener(guest)?,
        free: 0,
    };
    let known = sys::memory_folder().step("make a folder in memory")?;
    let owner = first_id(request.init)?;
    learn(&request.criu, &known, &said, owner).map_err(|error| explain(error, &log))?;
    let mounts = enter(request.init)?;
    let mut words: Vec<String> = ["dump", "--tree"].map(String::from).into();
    words.push(GUEST_PID.to_string());
    words.extend(usual(&images, &nothing));
    words.extend(["--unprivileged", "--leave-running", "--skip-in-flight"].map(String::from));
    words.extend(["--network-lock", "skip", "--ghost-limit"].map(String::from));
    words.push(GHOST.to_string());
    words.extend(["--freeze-cgroup".into(), place(freezer.as_raw_fd())]);
    for name in saved.logs.iter().chain([&saved.program]) {
        words.extend(["--external".into(), name.clone()]);
    }
    let run = Run {
        words,
        mounts: &mounts,
        keep: vec![images.as_fd(), nothing.as_fd(), freezer.as_fd()],
        known: Some(&known),
        log: said.as_fd(),
        pid: None,
        root: None,
        owner,
    };
    request.criu.run("save the processes", &run).map_err(|error| explain(error, &log))?;
    finish(into, program, saved)
}

/// Who root inside is outside, unless that is root: it made the sandbox's user namespace.
fn first_id(init: i32) -> Result<Option<u32>> {
    let path = PathBuf::from(format!("/proc/{init}/uid_map"));
    let text = std::fs::read_to_string(&path).at("read", &path)?;
    let first = text.split_whitespace().nth(1).and_then(|id| id.parse().ok());
    Ok(first.filter(|id| *id != 0))
}

/// Has CRIU look at the kernel outside, and keep what it found.
fn learn(criu: &Criu, known: &OwnedFd, said: &File, owner: Option<u32>) -> Result<()> {
    let ours = Path::new("/proc/self/ns/mnt");
    let mounts = File::open(ours).map(OwnedFd::from).at("open", ours)?;
    let words = ["check", "--unprivileged", "--no-default-config", "-v1"].map(String::from);
    let run = Run {
        words: words.into(),
        mounts: &mounts,
        keep: Vec::new(),
        known: Some(known),
        log: said.as_fd(),
        pid: None,
        root: None,
        owner,
    };
    criu.run("have CRIU look at the kernel", &run)
}

/// CRIU's own words instead of its exit code.
pub(super) fn explain(error: LaunchError, log: &Path) -> LaunchError {
    let text = std::fs::read(log).unwrap_or_default();
    match complaints(&String::from_utf8_lossy(&text)) {
        words if words.is_empty() => error,
        words => LaunchError { why: format!("CRIU says: {words}"), ..error },
    }
}

fn finish(into: &Path, mut program: File, saved: Saved) -> Result<()> {
    let images = into.join(IMAGES);
    inventory::share_users(&images, GUEST_PID)?;
    // A sandbox's root reads them, who is nobody here; the folder above lets nobody in.
    let all = |path: &Path, mode| {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).at("set the mode of", path)
    };
    let mut taken = HashSet::new();
    for entry in std::fs::read_dir(&images).at("read", &images)?.flatten() {
        all(&entry.path(), 0o644)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let id = name.strip_prefix("core-").and_then(|rest| rest.strip_suffix(".img"));
        taken.extend(id.and_then(|id| id.parse::<i32>().ok()));
    }
    for name in [IMAGES, NOTHING] {
        all(&into.join(name), 0o755)?;
    }
    let copy = into.join(PROGRAM);
    let mut to = File::create(&copy).at("make", &copy)?;
    std::io::copy(&mut program, &mut to).at("write", &copy)?;
    all(&copy, 0o755)?;
    let far_enough = |first: &i32| (*first..first + 64).all(|id| !taken.contains(&id));
    let free = (300..).step_by(64).find(far_enough).unwrap_or(300);
    let text = serde_json::to_vec(&Saved { free, ..saved });
    let text = text.map_err(|error| LaunchError::new("say what was saved", error.to_string()))?;
    let path = into.join(SAVED);
    std::fs::write(&path, text).at("write", &path)
}

/// Enters the namespaces of the sandbox but for its users, and its mounts, which are returned.
/// The next child is among its processes.
fn enter(init: i32) -> Result<OwnedFd> {
    let open = |name: &str| {
        let path = PathBuf::from(format!("/proc/{init}/ns/{name}"));
        File::open(&path).map(OwnedFd::from).at("open", &path)
    };
    let mounts = open("mnt")?;
    let others = [
        ("net", CloneFlags::CLONE_NEWNET),
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("cgroup", CloneFlags::CLONE_NEWCGROUP),
        ("pid", CloneFlags::CLONE_NEWPID),
    ];
    for (name, kind) in others {
        setns(open(name)?, kind).step("enter the sandbox's namespaces")?;
    }
    Ok(mounts)
}

fn freezer(cgroups: &[PathBuf]) -> Result<OwnedFd> {
    let has = |dir: &&PathBuf| {
        ["freezer.state", "cgroup.freeze"].iter().any(|file| dir.join(file).exists())
    };
    let found = cgroups.iter().find(has);
    open_dir(found.ok_or_else(|| LaunchError::new("freeze the sandbox", "it has no freezer"))?)
}

/// CRIU's name of an open file that lies outside of the sandbox.
fn named(fdinfo: &Path, fd: i32, file: &File) -> Result<String> {
    let inode = file.metadata().step("look at a file of the guest's")?.ino();
    let mount = mount_of(fdinfo, fd)?;
    Ok(format!("file[{mount:x}:{inode:x}]"))
}

fn mount_of(fdinfo: &Path, fd: i32) -> Result<u32> {
    let path = fdinfo.join(fd.to_string());
    let text = std::fs::read_to_string(&path).at("read", &path)?;
    let id = text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    id.ok_or_else(|| LaunchError::new("look at a file of the guest's", "it is on no mount"))
}

/// The files of this machine that the guest has open: what it says goes there.
fn logs(guest: Pid) -> Result<Vec<String>> {
    let proc = PathBuf::from(format!("/proc/{guest}"));
    let path = proc.join("mountinfo");
    let table = std::fs::read_to_string(&path).at("read", &path)?;
    let inside: HashSet<u32> =
        table.lines().filter_map(|line| line.split(' ').next()?.parse().ok()).collect();
    let fds = proc.join("fd");
    let mut logs = Vec::new();
    for entry in std::fs::read_dir(&fds).at("read", &fds)?.flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        let Some(number) = number else { continue };
        let is_file = std::fs::metadata(entry.path()).is_ok_and(|found| found.is_file());
        if !is_file || inside.contains(&mount_of(&proc.join("fdinfo"), number)?) {
            continue;
        }
        let file = File::open(entry.path()).at("open", &entry.path())?;
        logs.push(named(&proc.join("fdinfo"), number, &file)?);
    }
    logs.sort();
    logs.dedup();
    Ok(logs)
}

/// The socket that the guest serves at.
fn listener(guest: Pid) -> Result<String> {
    let path = PathBuf::from(format!("/proc/{guest}/net/unix"));
    let table = std::fs::read_to_string(&path).at("read", &path)?;
    let ours = format!("/{}", crate::init::SOCKET);
    let line = table.lines().find(|line| line.ends_with(&ours));
    let inode = line.and_then(|line| line.split_whitespace().nth(6));
    let inode = inode.ok_or_else(|| LaunchError::new("find the guest's socket", "it has none"))?;
    let inode: u32 = inode
        .parse()
        .map_err(|_| LaunchError::new("find the guest's socket", "its number is none"))?;
    Ok(format!("socket:[{inode}]"))
}

/// The helper goes on when whoever asked is gone: what it has stopped must go on too.
pub(crate) fn alone() -> Result<()> {
    sys::reset_signals();
    nix::unistd::setsid().map(drop).step("start a session")
}
