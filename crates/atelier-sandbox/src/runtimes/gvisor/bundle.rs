//! The OCI bundle that `runsc` is given: which files, which guest, which configuration. A sandbox that
//! goes on from a saved state has the configuration that the state was saved with; only where things lie
//! on this machine is its own.

use std::path::{Path, PathBuf};

use atelier_launch::{MountSource, WorkspaceMount};
use serde_json::{Value, json};

use super::failed;
use crate::SandboxError;
use crate::runtime::StartRequest;
use crate::runtimes::outside::GUEST_PORT;

/// The guest's own file inside.
const GUEST: &str = "/.atelier-guest";

/// Where a sandbox's bundle lies.
#[derive(Debug)]
pub(super) struct Bundle(PathBuf);

impl Bundle {
    /// In the sandbox's folder.
    pub(super) fn of(folder: &Path) -> Self {
        Self(folder.join("bundle"))
    }

    pub(super) fn dir(&self) -> &Path {
        &self.0
    }

    /// Where the image's layers are mounted.
    pub(super) fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    /// The guest that runs in it. The file is the sandbox's own: its processes are saved with what
    /// they have read of it, and go on with the rest.
    pub(super) fn guest(&self) -> PathBuf {
        self.0.join("guest")
    }

    pub(super) fn config(&self) -> PathBuf {
        self.0.join("config.json")
    }

    /// Writes it, with this guest. With `saved`, the configuration of a saved state is gone on with.
    pub(super) fn write(
        &self,
        guest: &Path,
        saved: Option<&Path>,
        request: StartRequest<'_>,
    ) -> Result<(), SandboxError> {
        let root = self.root();
        std::fs::create_dir_all(&root).map_err(SandboxError::io("making", root))?;
        link(guest, &self.guest())?;
        let mut config = self.fresh(request)?;
        if let Some(path) = saved {
            let text = std::fs::read(path).map_err(SandboxError::io("reading", path))?;
            let saved = serde_json::from_slice(&text).map_err(|e| failed(&e))?;
            config = gone_on(saved, &config)?;
        }
        let path = self.config();
        std::fs::write(&path, config.to_string()).map_err(SandboxError::io("writing", path))
    }

    /// The configuration of a new one (<https://github.com/opencontainers/runtime-spec>).
    fn fresh(&self, request: StartRequest<'_>) -> Result<Value, SandboxError> {
        let listen = format!("tcp:0.0.0.0:{GUEST_PORT}");
        let resolv = request.folders.root().join("resolv.conf");
        let nameserver = format!("nameserver {}\n", atelier_net::Addresses::DNS_V4);
        std::fs::write(&resolv, nameserver).map_err(SandboxError::io("writing", &resolv))?;
        let all = json!([
            "CAP_CHOWN",
            "CAP_DAC_OVERRIDE",
            "CAP_FOWNER",
            "CAP_FSETID",
            "CAP_KILL",
            "CAP_SETGID",
            "CAP_SETUID",
            "CAP_SETPCAP",
            "CAP_NET_BIND_SERVICE",
            "CAP_NET_RAW",
            "CAP_SYS_CHROOT",
            "CAP_MKNOD",
            "CAP_AUDIT_WRITE",
            "CAP_SETFCAP",
            "CAP_SYS_PTRACE",
            "CAP_SYS_ADMIN"
        ]);
        let mut mounts = vec![
            json!({ "destination": "/proc", "type": "proc", "source": "proc" }),
            json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs" }),
            json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"] }),
            json!({ "destination": GUEST, "type": "bind", "source": self.guest(), "options": ["ro", "rbind"] }),
            json!({ "destination": "/etc/resolv.conf", "type": "bind", "source": resolv, "options": ["ro", "rbind"] }),
        ];
        mounts.extend(request.spec.mounts.iter().filter_map(bind));
        Ok(json!({
            "ociVersion": "1.0.2",
            "hostname": request.spec.hostname,
            "process": {
                "user": { "uid": 0, "gid": 0 },
                "args": [GUEST, "serve", "--listen", listen],
                "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "cwd": "/",
                "capabilities": { "bounding": all, "effective": all, "permitted": all, "inheritable": all }
            },
            "root": { "path": self.root(), "readonly": false },
            "mounts": mounts,
            "linux": { "namespaces": [
                { "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" },
                { "type": "network", "path": "/proc/self/ns/net" }
            ] }
        }))
    }
}

/// A folder of this machine, with its owners as they are.
fn bind(mount: &WorkspaceMount) -> Option<Value> {
    let MountSource::Bind { source, readonly } = &mount.source else { return None };
    let access = if *readonly { "ro" } else { "rw" };
    Some(json!({
        "destination": mount.target, "type": "bind", "source": source, "options": [access, "rbind"],
    }))
}

/// The saved configuration at the new place. Processes may have files open in what is mounted, so that
/// must be the same.
fn gone_on(mut saved: Value, fresh: &Value) -> Result<Value, SandboxError> {
    let places = |config: &Value| -> Vec<Value> {
        let mounts = config["mounts"].as_array().into_iter().flatten();
        mounts.map(|mount| json!([mount["destination"], mount["options"]])).collect()
    };
    let (before, now) = (places(&saved), places(fresh));
    if before != now {
        return Err(SandboxError::Start {
            runtime: "gvisor",
            reason: format!(
                "the processes that were saved had {} mounted, the new sandbox has {}",
                json!(before),
                json!(now)
            ),
            remedy: Some("give it the same volumes at the same places, or start from a snapshot of files alone".into()),
        });
    }
    saved["root"]["path"] = fresh["root"]["path"].clone();
    let sources = fresh["mounts"].as_array().into_iter().flatten().map(|mount| &mount["source"]);
    for (mount, source) in saved["mounts"].as_array_mut().into_iter().flatten().zip(sources) {
        mount["source"] = source.clone();
    }
    Ok(saved)
}

/// The same file under one more name, or a copy of it on another filesystem.
pub(super) fn link(from: &Path, to: &Path) -> Result<(), SandboxError> {
    match std::fs::remove_file(to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(SandboxError::io("removing", to)(error));
        }
        _ => {}
    }
    if std::fs::hard_link(from, to).is_err() {
        std::fs::copy(from, to).map_err(SandboxError::io("copying", from))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(root: &str, mounts: &[(&str, &str)]) -> Value {
        let mounts: Vec<Value> = mounts
            .iter()
            .map(|(at, from)| json!({ "destination": at, "source": from, "options": ["rw"] }))
            .collect();
        json!({ "root": { "path": root }, "mounts": mounts, "hostname": root })
    }

    #[test]
    fn only_places_on_this_machine_change() {
        let saved = config("/a/root", &[("/data", "/volumes/1")]);
        let gone_on = gone_on(saved, &config("/b/root", &[("/data", "/volumes/2")])).unwrap();
        assert_eq!(gone_on["root"]["path"], "/b/root");
        assert_eq!(gone_on["mounts"][0]["source"], "/volumes/2");
        assert_eq!(gone_on["hostname"], "/a/root");
    }

    #[test]
    fn other_volumes_are_refused() {
        let saved = config("/a", &[("/data", "/volumes/1")]);
        let error = gone_on(saved, &config("/b", &[])).unwrap_err();
        assert!(error.to_string().contains("/data"), "{error}");
    }
}
