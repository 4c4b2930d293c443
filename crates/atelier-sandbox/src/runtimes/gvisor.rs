//! The runtime `gvisor`: an image's files on gVisor's kernel, which is a program of this machine's user
//! space. `runsc` is told what to run by an OCI bundle.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use atelier_api::system::{Check, Verdict};
use atelier_guest::outside::{LinkKind, Overlay};
use atelier_launch::{MountSource, WorkspaceMount};
use serde_json::{Value, json};

use crate::runtime::{BoxFuture, Capabilities, Running, Runtime, StartRequest};
use crate::runtimes::launcher;
use crate::runtimes::outside::{self, GUEST_PORT, Program};
use crate::{SandboxError, guest_binary};

const START_LIMIT: Duration = Duration::from_secs(60);
/// A platform that spins for ever instead of failing does not work either.
const TRIAL_LIMIT: Duration = Duration::from_secs(5);
/// The guest's own file inside.
const GUEST: &str = "/.atelier-guest";
/// Ways to run that `runsc` knows, the better first: `ptrace` is slow, and what releases before 2023
/// have. Not `kvm`: on a machine that is a virtual one itself it may spin for ever.
const PLATFORMS: [&str; 2] = ["systrap", "ptrace"];

/// The driver.
#[derive(Debug)]
pub struct GvisorRuntime {
    guest: PathBuf,
    platform: OnceLock<Option<&'static str>>,
}

impl GvisorRuntime {
    /// Unpacks the guest below `bin`.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn new(bin: &Path) -> Result<Self, SandboxError> {
        Ok(Self { guest: guest_binary::unpack(bin)?, platform: OnceLock::new() })
    }

    /// The best platform that runs a program here.
    fn platform(&self) -> Option<&'static str> {
        *self.platform.get_or_init(|| PLATFORMS.into_iter().find(|platform| works(platform)))
    }

    async fn launch(&self, request: StartRequest<'_>) -> Result<Running, SandboxError> {
        let image = request.image.ok_or_else(|| failed(&"it needs an image"))?;
        let platform = self.platform().ok_or_else(|| failed(&"no platform of runsc works"))?;
        let folder = request.folders.root().to_owned();
        let layers = request.images.layer_dirs(image);
        let view = request.folders.layers(&request.spec.resources).join("view").join("root");
        let (upper, work) = (view.join("upper"), view.join("work"));
        let (bundle, root) = (folder.join("bundle"), folder.join("bundle").join("root"));
        for dir in [&upper, &work, &root] {
            std::fs::create_dir_all(dir).map_err(SandboxError::io("making", dir))?;
        }
        let config = bundle.join("config.json");
        let text = self.config(&root, request).to_string();
        std::fs::write(&config, text).map_err(SandboxError::io("writing", &config))?;
        let pid_file = folder.join("runsc.pid");
        let state = folder.join("runsc");
        forget_last(&state)?;
        let id = request.spec.id.simple().to_string();
        let mut words: Vec<OsString> = ["runsc", "--root"].map(OsString::from).into();
        words.push(state.into());
        words.extend(
            ["--network=sandbox", "--ignore-cgroups", "--file-access=exclusive", "--overlay=false"]
                .map(OsString::from),
        );
        words.push(format!("--platform={platform}").into());
        words.extend(["run", "--detach", "--pid-file"].map(OsString::from));
        words.extend([pid_file.clone().into(), "--bundle".into(), bundle.into(), id.into()]);
        let overlay = Overlay { options: overlay(&layers, &upper, &work)?, target: root };
        let program = Program {
            runtime: "gvisor",
            words,
            link: LinkKind::Tap,
            mtu: None,
            small_pages: false,
            overlay: Some(overlay),
            pid_file: Some(pid_file),
            cwd: None,
        };
        let running = outside::start(program, &self.guest, request).await?;
        outside::answered("gvisor", &self.guest(request.folders), running, request, START_LIMIT)
            .await
    }

    /// The bundle's configuration (<https://github.com/opencontainers/runtime-spec>).
    fn config(&self, root: &Path, request: StartRequest<'_>) -> Value {
        let listen = format!("tcp:0.0.0.0:{GUEST_PORT}");
        let folder = request.folders.root();
        let resolv = folder.join("resolv.conf");
        let nameserver = atelier_net::Addresses::DNS_V4;
        let _ = std::fs::write(&resolv, format!("nameserver {nameserver}\n"));
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
            json!({ "destination": GUEST, "type": "bind", "source": self.guest, "options": ["ro", "rbind"] }),
            json!({ "destination": "/etc/resolv.conf", "type": "bind", "source": resolv, "options": ["ro", "rbind"] }),
        ];
        mounts.extend(request.spec.mounts.iter().filter_map(bind));
        json!({
            "ociVersion": "1.0.2",
            "hostname": request.spec.hostname,
            "process": {
                "user": { "uid": 0, "gid": 0 },
                "args": [GUEST, "serve", "--listen", listen],
                "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "cwd": "/",
                "capabilities": { "bounding": all, "effective": all, "permitted": all, "inheritable": all }
            },
            "root": { "path": root, "readonly": false },
            "mounts": mounts,
            "linux": { "namespaces": [
                { "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" },
                { "type": "network", "path": "/proc/self/ns/net" }
            ] }
        })
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

/// Removes what `runsc` noted of the last run: it starts nothing of which it knows.
fn forget_last(state: &Path) -> Result<(), SandboxError> {
    match std::fs::remove_dir_all(state) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(SandboxError::io("removing", state)(error))
        }
        _ => Ok(()),
    }
}

/// The overlay's options. A path with what separates options would be taken apart by the kernel.
fn overlay(layers: &[PathBuf], upper: &Path, work: &Path) -> Result<String, SandboxError> {
    let text = |path: &Path| {
        let text = path.to_str().filter(|text| !text.contains([',', ':', '\\']));
        text.map(str::to_owned).ok_or_else(|| {
            failed(&format!("{} has characters that an overlay can't have", path.display()))
        })
    };
    let lowers = layers.iter().map(|layer| text(layer)).collect::<Result<Vec<_>, _>>()?;
    let options = format!(
        "userxattr,lowerdir={},upperdir={},workdir={}",
        lowers.join(":"),
        text(upper)?,
        text(work)?
    );
    // mount(2) takes one page.
    if options.len() > 4000 {
        return Err(failed(&format!("the image has too many layers for it: {}", layers.len())));
    }
    Ok(options)
}

fn failed(reason: &dyn std::fmt::Display) -> SandboxError {
    launcher::failed("gvisor", reason)
}

/// Whether `runsc` runs a program on this platform.
fn works(platform: &str) -> bool {
    let mut command = Command::new("runsc");
    command.args(["--rootless", "--network=none", "--ignore-cgroups"]);
    command.arg(format!("--platform={platform}")).args(["do", "/bin/true"]);
    crate::command::succeeds_within(command, TRIAL_LIMIT)
}

impl Runtime for GvisorRuntime {
    fn name(&self) -> &'static str {
        "gvisor"
    }

    fn isolation(&self) -> &'static str {
        "gVisor's kernel in user space, over an image's files"
    }

    fn is_extra(&self) -> bool {
        true
    }

    fn probe(&self) -> Vec<Check> {
        let check = |verdict, detail: String, remedy: Option<&str>| Check {
            name: "runsc".into(),
            verdict,
            detail,
            remedy: remedy.map(str::to_owned),
            fixable: false,
        };
        if !nix::unistd::geteuid().is_root() {
            let why = "runsc needs root to use a network of ours".to_owned();
            return vec![check(
                Verdict::Failed,
                why,
                Some("use the control plane of root, or oci"),
            )];
        }
        vec![match self.platform() {
            Some(platform) => check(Verdict::Ok, format!("runs programs with {platform}"), None),
            None => check(
                Verdict::Failed,
                "runsc is not there, or runs no program on any platform".into(),
                Some(
                    "install it: 'apt install runsc', or from https://gvisor.dev/docs/user_guide/install",
                ),
            ),
        }]
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { images: true, layered: true, volumes: true, ..Capabilities::default() }
    }

    fn start<'a>(
        &'a self,
        request: StartRequest<'a>,
    ) -> BoxFuture<'a, Result<Running, SandboxError>> {
        Box::pin(self.launch(request))
    }

    fn why_no_memory(&self) -> BoxFuture<'_, String> {
        let why = "its processes are in gVisor's kernel; 'runsc checkpoint', which could save them, ends \
                   what it saves and is not used";
        Box::pin(std::future::ready(why.to_owned()))
    }
}
