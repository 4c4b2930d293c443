//! Every process of a machine but the guest holds still, so that what is read of its files is how they
//! were at one moment. By the kernel's freezer: nobody is told, and nobody sees it but by the clock.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where control groups are.
const ROOT: &str = "/sys/fs/cgroup";
/// The group of those that are in none.
const OURS: &str = "atelier-still";
/// How long it may take until a process that waits for its disk stands still.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(2);
/// How often new processes are looked for, when each look finds some.
const LOOKS: usize = 200;

/// Held, they stay as they are.
#[derive(Debug)]
pub(super) struct Still {
    root: PathBuf,
    /// Groups that were frozen; what the user had frozen before stays so.
    frozen: Vec<PathBuf>,
    /// The group of those that were in none.
    ours: Option<PathBuf>,
}

impl Still {
    /// Has all of them hold still, and waits until they do.
    pub(super) async fn hold() -> io::Result<Self> {
        let mut still = Self { root: ROOT.into(), frozen: Vec::new(), ours: None };
        if others(&still.root.join("cgroup.procs")).is_ok_and(|others| others.is_empty())
            && groups(&still.root).is_empty()
        {
            return Ok(still);
        }
        still.take_hold().map_err(|error| {
            io::Error::new(error.kind(), format!("the processes can't be held still: {error}"))
        })?;
        still.wait().await?;
        Ok(still)
    }

    fn take_hold(&mut self) -> io::Result<()> {
        for group in groups(&self.root) {
            let freeze = group.join("cgroup.freeze");
            if fs::read_to_string(&freeze).is_ok_and(|text| text.trim() == "0") {
                fs::write(freeze, "1")?;
                self.frozen.push(group);
            }
        }
        let ours = self.root.join(OURS);
        match fs::create_dir(&ours) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => self.ours = Some(ours.clone()),
        }
        fs::write(ours.join("cgroup.freeze"), "1")?;
        for _ in 0..LOOKS {
            let others = others(&self.root.join("cgroup.procs"))?;
            if others.is_empty() {
                return Ok(());
            }
            // One that could not be moved has ended, or is seen again.
            others.iter().for_each(|pid| drop(fs::write(ours.join("cgroup.procs"), pid)));
        }
        Err(io::Error::other("there are always more of them"))
    }

    async fn wait(&self) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        for group in self.frozen.iter().chain(&self.ours) {
            while !stands_still(group) {
                if Instant::now() > until {
                    let why = "a process does not hold still: it waits for something";
                    return Err(io::Error::new(io::ErrorKind::TimedOut, why));
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        if let Some(ours) = &self.ours {
            for pid in others(&ours.join("cgroup.procs")).unwrap_or_default() {
                drop(fs::write(self.root.join("cgroup.procs"), pid));
            }
            drop(fs::write(ours.join("cgroup.freeze"), "0"));
            drop(fs::remove_dir(ours));
        }
        for group in &self.frozen {
            drop(fs::write(group.join("cgroup.freeze"), "0"));
        }
    }
}

/// The groups of others.
fn groups(root: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    found.filter(|path| path.is_dir() && !path.ends_with(OURS)).collect()
}

/// A group without processes is frozen as soon as it is told.
fn stands_still(group: &Path) -> bool {
    let events = fs::read_to_string(group.join("cgroup.events")).unwrap_or_default();
    events.lines().any(|line| line == "frozen 1" || line == "populated 0")
}

/// The processes of a group without us and the kernel's own.
fn others(procs: &Path) -> io::Result<Vec<String>> {
    let own = std::process::id().to_string();
    let all = fs::read_to_string(procs)?;
    let counts = |pid: &&str| *pid != own && *pid != "0" && !is_kernels(pid);
    Ok(all.lines().filter(counts).map(str::to_owned).collect())
}

/// The kernel's threads, and what has ended already: neither has memory.
fn is_kernels(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status"))
        .is_ok_and(|status| !status.lines().any(|line| line.starts_with("VmSize:")))
}
