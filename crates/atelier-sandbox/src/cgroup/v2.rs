//! Version 2 of the kernel's control groups, delegated by systemd where we are not root
//! (<https://docs.kernel.org/admin-guide/cgroup-v2.html>, <https://systemd.io/CGROUP_DELEGATION/>).

use std::fs;
use std::path::{Path, PathBuf};

use atelier_api::env::Resources;

use super::{CPU_PERIOD_US, Cgroup, Cgroups, cpu_quota, scope, write};
use crate::SandboxError;

/// The leaf that the control plane itself sits in.
pub(super) const OWN_LEAF: &str = "control-plane";

pub(super) fn find(root: &Path, name: &str) -> Cgroups {
    if nix::unistd::geteuid().is_root() {
        let base = root.join(name);
        return match enable(root)
            .and_then(|()| fs::create_dir_all(&base))
            .and_then(|()| enable(&base))
        {
            Ok(()) => Cgroups::V2(base),
            Err(e) => absent(&format!("{} can't be used: {e}", base.display())),
        };
    }
    let Some(first) = own_scope(root) else {
        return absent("this process is in no control group");
    };
    let why = match delegate(&first) {
        Ok(()) => return Cgroups::V2(first),
        Err(error) => error,
    };
    // Not ours yet: a session's group, most likely. The user's systemd can give us one.
    match scope::enter(name) {
        Ok(()) => match own_scope(root).map(|scope| delegate(&scope).map(|()| scope)) {
            Some(Ok(scope)) => Cgroups::V2(scope),
            _ => absent("systemd's scope can't be used"),
        },
        Err(error) => absent(&format!(
            "{} is not delegated to this user ({why}), and {error}",
            first.display()
        )),
    }
}

/// The group that was delegated, if this process is in one: its own, or the parent of a leaf of
/// ours from an earlier look.
fn own_scope(root: &Path) -> Option<PathBuf> {
    let own = own_group(root)?;
    if own.ends_with(OWN_LEAF) { own.parent().map(Path::to_owned) } else { Some(own) }
}

fn absent(why: &str) -> Cgroups {
    Cgroups::Absent {
        why: why.to_owned(),
        remedy: "install dbus-user-session and log in again, so that your own systemd can give \
                 Atelier a control group; or start it in one: 'atelier stop', then \
                 'systemd-run --user --scope -p Delegate=yes atelier serve --background'"
            .to_owned(),
    }
}

fn own_group(root: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(root.join(path))
}

/// Moves this process into a leaf and lets the scope's controllers reach its children.
fn delegate(scope: &Path) -> std::io::Result<()> {
    let own = std::process::id().to_string();
    if fs::read_to_string(scope.join("cgroup.procs"))?.lines().any(|pid| pid != own) {
        return Err(std::io::Error::other("other processes are in it"));
    }
    let leaf = scope.join(OWN_LEAF);
    fs::create_dir_all(&leaf)?;
    fs::write(leaf.join("cgroup.procs"), "0")?;
    enable(scope)
}

/// Lets every controller of ours that there is reach the children of `dir`.
fn enable(dir: &Path) -> std::io::Result<()> {
    let available = fs::read_to_string(dir.join("cgroup.controllers"))?;
    for controller in ["memory", "cpu", "pids"] {
        if available.split_whitespace().any(|c| c == controller) {
            fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}"))?;
        }
    }
    Ok(())
}

pub(super) fn check(base: &Path, limits: &Resources) -> Result<(), SandboxError> {
    let enabled = fs::read_to_string(base.join("cgroup.subtree_control")).unwrap_or_default();
    let has = |controller| enabled.split_whitespace().any(|c| c == controller);
    if limits.memory.is_some() && !has("memory") {
        return Err(missing("memory"));
    }
    if limits.cpus.is_some() && !has("cpu") {
        return Err(missing("cpus"));
    }
    Ok(())
}

pub(super) fn create(dir: &Path, limits: &Resources) -> Result<Cgroup, SandboxError> {
    fs::create_dir_all(dir).map_err(SandboxError::io("making", dir))?;
    if let Some(memory) = limits.memory {
        write(dir, "memory.max", &memory.to_string())?;
        // A kernel that doesn't count swap has no such file.
        if dir.join("memory.swap.max").exists() {
            write(dir, "memory.swap.max", "0")?;
        }
    }
    if let Some(cpus) = limits.cpus {
        write(dir, "cpu.max", &format!("{} {CPU_PERIOD_US}", cpu_quota(cpus)))?;
    }
    if let Some(processes) = limits.processes
        && dir.join("pids.max").exists()
    {
        write(dir, "pids.max", &processes.to_string())?;
    }
    Ok(Cgroup { dirs: vec![dir.to_owned()] })
}

fn missing(what: &'static str) -> SandboxError {
    SandboxError::Limit {
        what,
        why: "the kernel's controller for it is not delegated to this user".into(),
        remedy: "give it to user sessions: put 'Delegate=cpu memory pids' under [Service] in \
                 /etc/systemd/system/user@.service.d/delegate.conf, then log in again"
            .into(),
    }
}

/// Leaves the folder and removes it when no group of a sandbox is in it.
pub(super) fn tidy(base: &Path) {
    let _ = fs::remove_dir(base);
}

/// A number in a file of `key value` lines.
pub(super) fn keyed(path: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        if name == key { value.trim().parse().ok() } else { None }
    })
}
