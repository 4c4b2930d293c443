//! Processes as the kernel tells of them: who lives, who is of which tool, what they use.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::environment::{HOME, ROLE, SERVICE, TOOL};
use crate::{Home, Slug};

/// A process that is no other: its id, and when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    /// Its id.
    pub pid: i32,
    /// When it started, in ticks since the boot.
    pub start: u64,
}

/// What `/proc/PID/stat` says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub process: Process,
    pub parent: i32,
    pub zombie: bool,
    /// User and system time, in ticks.
    pub ticks: u64,
    /// Resident memory, in pages.
    pub pages: u64,
}

impl Stat {
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name is in parentheses and may hold anything.
        let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            process: Process { pid, start: number(19)? },
            parent: fields.get(1)?.parse().ok()?,
            zombie: matches!(*fields.first()?, "Z" | "X"),
            ticks: number(11)? + number(12)?,
            pages: number(21)?,
        })
    }
}

impl Process {
    /// The process of this id at this moment.
    pub(crate) fn now(pid: i32) -> Option<Self> {
        Stat::of(pid).filter(|stat| !stat.zombie).map(|stat| stat.process)
    }

    /// Whether it still runs, and is not another one of the same id.
    pub(crate) fn lives(&self) -> bool {
        Self::now(self.pid) == Some(*self)
    }
}

/// All ids.
fn all() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// All processes that run.
pub(crate) fn running() -> Vec<Stat> {
    all().filter_map(Stat::of).filter(|stat| !stat.zombie).collect()
}

/// The processes that belong to services of a home, found by what their environment says.
pub(crate) fn of_services(home: &Home) -> Vec<(Slug, Stat)> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let of = |pid: i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let value = |name: &str| {
            let mut all = environment.split(|byte| *byte == 0);
            all.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        };
        let ours = value(HOME) == Some(home.root().as_os_str().as_encoded_bytes())
            && value(ROLE) == Some(SERVICE.as_bytes());
        let slug = std::str::from_utf8(value(TOOL).filter(|_| ours)?).ok()?.parse().ok()?;
        Some((slug, Stat::of(pid).filter(|stat| !stat.zombie)?))
    };
    all().filter(|pid| *pid != own).filter_map(of).collect()
}

/// These processes and all that they have started.
pub(crate) fn with_children(roots: &[i32], running: &[Stat]) -> Vec<Stat> {
    let mut found: Vec<Stat> =
        running.iter().filter(|stat| roots.contains(&stat.process.pid)).copied().collect();
    let mut at = 0;
    while at < found.len() {
        let parent = found[at].process.pid;
        let of_it = |stat: &&Stat| stat.parent == parent;
        let fresh: Vec<Stat> = running.iter().filter(of_it).copied().collect();
        for stat in fresh {
            if !found.iter().any(|known| known.process == stat.process) {
                found.push(stat);
            }
        }
        at += 1;
    }
    found
}

/// The name of a process.
pub(crate) fn name(pid: i32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// Ticks in a second, and bytes in a page: what the kernel tells every program of itself in its
/// auxiliary vector; on Linux ticks are 100 for user space (`man 7 time`).
pub(crate) const TICKS: u64 = 100;

pub(crate) fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

/// Seconds since the boot.
pub(crate) fn uptime() -> Option<f64> {
    let text = fs::read_to_string(Path::new("/proc/uptime")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}
