//! Control groups: limits for a sandbox, what it used, and which limit it met. One file for each
//! version of the kernel's interface; here is what both share.

mod freezer;
mod scope;
mod usage;
mod v1;
mod v2;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use atelier_api::env::Resources;
use serde::{Deserialize, Serialize};

pub use usage::Usage;

use crate::SandboxError;

/// A sandbox's control group: one folder with version 2, one for each controller with version 1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// The folders; empty where there are no control groups that we may use.
    pub dirs: Vec<PathBuf>,
}

/// How often limits were met since the group was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimitEvents {
    /// Processes that the kernel ended for want of memory.
    pub out_of_memory: u64,
    /// Refused forks.
    pub processes: u64,
}

/// Which interface this machine has, and where our groups go.
#[derive(Debug, Clone)]
pub enum Cgroups {
    /// Version 2, below this folder.
    V2(PathBuf),
    /// Version 1, below a folder of each controller.
    V1(Vec<(&'static str, PathBuf)>),
    /// None that we may use, and why.
    Absent {
        /// Why.
        why: String,
        /// What would mend it.
        remedy: String,
    },
}

/// Where the kernel's interface is mounted, by convention of every distribution.
const ROOT: &str = "/sys/fs/cgroup";

impl Cgroups {
    /// Looks at this machine. `name` is the folder that holds all groups of one home. With version
    /// 2 and no root this process must be in a subtree that systemd delegated to the user; it is
    /// then moved into a leaf, since the kernel wants processes in leaves only.
    #[must_use]
    pub fn find(name: &str) -> Self {
        if Path::new(ROOT).join("cgroup.controllers").exists() {
            return v2::find(Path::new(ROOT), name);
        }
        v1::find(Path::new(ROOT), name)
    }

    /// Whether these limits can be enforced here, so that nothing is made which can't.
    ///
    /// # Errors
    /// [`SandboxError::Limit`] for the first that can't.
    pub fn check(&self, limits: &Resources) -> Result<(), SandboxError> {
        match (self, first_limit(limits)) {
            (Self::Absent { why, remedy }, Some(what)) => {
                Err(SandboxError::Limit { what, why: why.clone(), remedy: remedy.clone() })
            }
            (Self::V2(base), _) => v2::check(base, limits),
            (Self::V1(bases), _) => v1::check(bases, limits),
            (Self::Absent { .. }, None) => Ok(()),
        }
    }

    /// Makes the group of one sandbox with its limits.
    ///
    /// # Errors
    /// [`SandboxError::Limit`] for a limit that can't be enforced here, [`SandboxError::Io`] when
    /// the kernel refuses.
    pub fn create(&self, id: &str, limits: &Resources) -> Result<Cgroup, SandboxError> {
        self.check(limits)?;
        match self {
            Self::V2(base) => v2::create(&base.join(id), limits),
            Self::V1(bases) => v1::create(bases, id, limits),
            Self::Absent { .. } => Ok(Cgroup::default()),
        }
    }

    /// Groups of ours that exist, by sandbox id.
    #[must_use]
    pub fn existing(&self) -> Vec<(String, Cgroup)> {
        let bases: Vec<&PathBuf> = match self {
            Self::V2(base) => vec![base],
            Self::V1(bases) => bases.iter().map(|(_, base)| base).collect(),
            Self::Absent { .. } => Vec::new(),
        };
        let mut found = std::collections::BTreeMap::<String, Cgroup>::new();
        for base in bases {
            for entry in fs::read_dir(base).into_iter().flatten().flatten() {
                let id = entry.file_name().to_string_lossy().into_owned();
                if id != v2::OWN_LEAF && entry.file_type().is_ok_and(|t| t.is_dir()) {
                    found.entry(id).or_default().dirs.push(entry.path());
                }
            }
        }
        found.into_iter().collect()
    }

    /// Removes the folder of this home when nothing is in it any more.
    pub fn tidy(&self) {
        if let Self::V1(bases) = self {
            for (_, base) in bases {
                let _ = fs::remove_dir(base);
            }
        } else if let Self::V2(base) = self {
            v2::tidy(base);
        }
    }
}

impl Cgroup {
    /// Limits met so far. Zero where nobody counts.
    #[must_use]
    pub fn events(&self) -> LimitEvents {
        let mut events = LimitEvents::default();
        for dir in &self.dirs {
            events.out_of_memory += v2::keyed(&dir.join("memory.events"), "oom_kill")
                .or_else(|| v2::keyed(&dir.join("memory.oom_control"), "oom_kill"))
                .unwrap_or(0);
            events.processes += v2::keyed(&dir.join("pids.events"), "max").unwrap_or(0);
        }
        events
    }

    /// Ends every process that is still in the group and removes it. A group that is gone is fine.
    ///
    /// # Errors
    /// When the kernel keeps a folder busy.
    pub fn remove(&self) -> io::Result<()> {
        for dir in &self.dirs {
            remove_tree(dir)?;
        }
        Ok(())
    }
}

/// Removes a group and the groups inside it, the innermost first.
fn remove_tree(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove_tree(&entry.path())?;
        }
    }
    // A group is busy for an instant after its last process ended.
    let mut tries = 0;
    loop {
        match fs::remove_dir(dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) if e.raw_os_error() == Some(nix::libc::EBUSY) && tries < 100 => {
                end_processes(dir);
                tries += 1;
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

fn end_processes(dir: &Path) {
    for pid in fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default().lines() {
        if let Ok(pid) = pid.parse::<i32>()
            && pid > 1
            && pid != std::process::id().cast_signed()
        {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                nix::sys::signal::Signal::SIGKILL,
            );
        }
    }
}

/// The first limit of those that a control group enforces; disk is not one of them. The default
/// limit on processes is a courtesy, so it is not asked for where it can't be had.
fn first_limit(limits: &Resources) -> Option<&'static str> {
    if limits.memory.is_some() {
        return Some("memory");
    }
    limits.cpus.map(|_| "cpus")
}

fn write(dir: &Path, file: &str, value: &str) -> Result<(), SandboxError> {
    let path = dir.join(file);
    fs::write(&path, value).map_err(SandboxError::io("writing", path))
}

/// Microseconds in which a share of processor time is counted; the kernel's own default.
const CPU_PERIOD_US: u64 = 100_000;

/// The quota in microseconds for so many cores.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn cpu_quota(cpus: f64) -> u64 {
    ((cpus * CPU_PERIOD_US as f64) as u64).max(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_without_control_groups_is_refused_with_the_remedy() {
        let none = Cgroups::Absent { why: "not delegated".into(), remedy: "do this".into() };
        let asked = Resources { memory: Some(1 << 20), ..Resources::default() };
        let error = none.create("x", &asked).unwrap_err();
        assert!(matches!(error, SandboxError::Limit { what: "memory", .. }));
        assert_eq!(none.create("x", &Resources::default()).unwrap(), Cgroup::default());
    }

    #[test]
    fn a_share_of_a_core_becomes_a_quota() {
        assert_eq!(cpu_quota(1.5), 150_000);
        assert_eq!(cpu_quota(0.0001), 1000);
    }
}
