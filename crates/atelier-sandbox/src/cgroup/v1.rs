//! Version 1 of the kernel's control groups, a folder for each controller
//! (<https://docs.kernel.org/admin-guide/cgroup-v1/>).

use std::fs;
use std::path::{Path, PathBuf};

use atelier_api::env::Resources;

use super::{CPU_PERIOD_US, Cgroup, Cgroups, cpu_quota, write};
use crate::SandboxError;

/// Those with limits, one that counts processor time, and one that stops processes.
const CONTROLLERS: [&str; 5] = ["memory", "cpu", "pids", "cpuacct", "freezer"];

pub(super) fn find(root: &Path, name: &str) -> Cgroups {
    let usable = |controller: &&'static str| {
        let base = root.join(controller).join(name);
        let known = root.join(controller).join("cgroup.procs").exists();
        (known && fs::create_dir_all(&base).is_ok()).then_some((*controller, base))
    };
    let bases: Vec<_> = CONTROLLERS.iter().filter_map(usable).collect();
    if bases.is_empty() {
        return Cgroups::Absent {
            why: format!("no control group below {} may be written", root.display()),
            remedy: if nix::unistd::geteuid().is_root() {
                "mount them: mount -t cgroup2 none /sys/fs/cgroup".into()
            } else {
                "run as root, or on a machine with control groups version 2".into()
            },
        };
    }
    Cgroups::V1(bases)
}

pub(super) fn check(
    bases: &[(&'static str, PathBuf)],
    limits: &Resources,
) -> Result<(), SandboxError> {
    let has = |controller| bases.iter().any(|(c, _)| *c == controller);
    let asked =
        [("memory", "memory", limits.memory.is_some()), ("cpu", "cpus", limits.cpus.is_some())];
    for (controller, what, asked) in asked {
        if asked && !has(controller) {
            return Err(SandboxError::Limit {
                what,
                why: format!("the controller {controller} is not mounted"),
                remedy: format!(
                    "mount it: mount -t cgroup -o {controller} cgroup /sys/fs/cgroup/{controller}"
                ),
            });
        }
    }
    Ok(())
}

pub(super) fn create(
    bases: &[(&'static str, PathBuf)],
    id: &str,
    limits: &Resources,
) -> Result<Cgroup, SandboxError> {
    let mut group = Cgroup::default();
    for (controller, base) in bases {
        let dir = base.join(id);
        fs::create_dir_all(&dir).map_err(SandboxError::io("making", &dir))?;
        limit(controller, &dir, limits)?;
        group.dirs.push(dir);
    }
    Ok(group)
}

fn limit(controller: &str, dir: &Path, limits: &Resources) -> Result<(), SandboxError> {
    match controller {
        "memory" => {
            let Some(memory) = limits.memory else { return Ok(()) };
            // Memory with swap may not be below memory, so the two are set in the order that
            // holds in a group without limits; not every kernel counts swap.
            write(dir, "memory.limit_in_bytes", &memory.to_string())?;
            if dir.join("memory.memsw.limit_in_bytes").exists() {
                write(dir, "memory.memsw.limit_in_bytes", &memory.to_string())?;
            }
        }
        "cpu" => {
            let Some(cpus) = limits.cpus else { return Ok(()) };
            write(dir, "cpu.cfs_period_us", &CPU_PERIOD_US.to_string())?;
            write(dir, "cpu.cfs_quota_us", &cpu_quota(cpus).to_string())?;
        }
        "pids" => {
            if let Some(processes) = limits.processes {
                write(dir, "pids.max", &processes.to_string())?;
            }
        }
        _ => {}
    }
    Ok(())
}
