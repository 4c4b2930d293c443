//! The runtime `gvisor`: an image's files on gVisor's kernel, which is a program of this machine's user
//! space. `runsc` is told what to run by an OCI bundle.

mod bundle;
mod runsc;
mod saved;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use atelier_api::system::{Check, Verdict};
use atelier_guest::outside::{LinkKind, Overlay};

use self::bundle::Bundle;
use self::runsc::Runsc;
use self::saved::Saved;
use crate::runtime::{BoxFuture, Capabilities, Running, Runtime, StartRequest, Target, freeze};
use crate::runtimes::launcher;
use crate::runtimes::outside::{self, Program};
use crate::{SandboxError, guest_binary};

const START_LIMIT: Duration = Duration::from_secs(60);
const INSTALL: &str =
    "install it: 'apt install runsc', or from https://gvisor.dev/docs/user_guide/install";

/// The driver.
#[derive(Debug)]
pub struct GvisorRuntime {
    guest: PathBuf,
    runsc: OnceLock<Runsc>,
    platform: OnceLock<&'static str>,
}

impl GvisorRuntime {
    /// Unpacks the guest below `bin`.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn new(bin: &Path) -> Result<Self, SandboxError> {
        let guest = guest_binary::unpack(bin)?;
        Ok(Self { guest, runsc: OnceLock::new(), platform: OnceLock::new() })
    }

    /// The program, looked for until it is found.
    fn runsc(&self) -> Option<&Runsc> {
        if self.runsc.get().is_none() {
            let _ = self.runsc.set(Runsc::find()?);
        }
        self.runsc.get()
    }

    /// The best platform that runs a program here.
    fn platform(&self) -> Option<&'static str> {
        if self.platform.get().is_none() {
            let _ = self.platform.set(self.runsc()?.platform()?);
        }
        self.platform.get().copied()
    }

    fn there(&self) -> Result<&Runsc, SandboxError> {
        self.runsc().ok_or_else(|| SandboxError::Start {
            runtime: "gvisor",
            reason: "runsc is not there".to_owned(),
            remedy: Some(INSTALL.to_owned()),
        })
    }

    async fn launch(&self, request: StartRequest<'_>) -> Result<Running, SandboxError> {
        let image = request.image.ok_or_else(|| failed(&"it needs an image"))?;
        let runsc = self.there()?;
        let platform = self.platform().ok_or_else(|| failed(&"no platform of runsc works"))?;
        let folder = request.folders.root();
        let view = request.folders.layers(&request.spec.resources).join("view").join("root");
        let (upper, work) = (view.join("upper"), view.join("work"));
        for dir in [&upper, &work] {
            std::fs::create_dir_all(dir).map_err(SandboxError::io("making", dir))?;
        }
        let (bundle, saved) = (Bundle::of(folder), request.state.map(Saved));
        let guest = saved.map_or_else(|| self.guest.clone(), Saved::guest);
        bundle.write(&guest, saved.map(Saved::config).as_deref(), request)?;
        let (pid_file, state) = (folder.join("runsc.pid"), saved::state(folder));
        forget_last(&state)?;
        saved::forget_held(folder);
        let mut words = runsc.begin(&state, platform);
        words.push(if saved.is_some() { "restore" } else { "run" }.into());
        if let Some(saved) = saved {
            words.extend(["--image-path".into(), saved.image().into()]);
        }
        words.extend(["--detach".into(), "--pid-file".into(), pid_file.clone().into()]);
        words.extend(["--bundle".into(), bundle.dir().into(), saved::name(request.spec.id).into()]);
        let layers = request.images.layer_dirs(image);
        let overlay = Overlay { options: overlay(&layers, &upper, &work)?, target: bundle.root() };
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
        let started = outside::start(program, &self.guest, request).await;
        let running = started.map_err(|error| with_its_reason(error, request))?;
        outside::answered("gvisor", &self.guest(request.folders), running, request, START_LIMIT)
            .await
    }
}

/// The launcher knows that `runsc` failed; why stands at the top of what it said.
fn with_its_reason(error: SandboxError, request: StartRequest<'_>) -> SandboxError {
    let SandboxError::Start { runtime, reason, remedy } = error else { return error };
    let log = std::fs::read(request.folders.log()).unwrap_or_default();
    let said = runsc::reason(&String::from_utf8_lossy(&log));
    SandboxError::Start { runtime, reason: format!("{reason}; runsc says: {said}"), remedy }
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
        let Some(runsc) = self.runsc() else {
            return vec![check(Verdict::Failed, "runsc is not there".into(), Some(INSTALL))];
        };
        let Some(platform) = self.platform() else {
            let why = "runsc runs no program on any platform".to_owned();
            return vec![check(Verdict::Failed, why, Some(runsc::NEWER))];
        };
        let mut checks = vec![check(Verdict::Ok, format!("runs programs with {platform}"), None)];
        if let Some(why) = runsc.why_not() {
            let why = format!("snapshots of it hold files only: {why}");
            checks.push(check(Verdict::Warning, why, Some(runsc::NEWER)));
        }
        checks
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            images: true,
            layered: true,
            volumes: true,
            host_name_saved: true,
            memory_snapshots: self.runsc().is_some_and(|runsc| runsc.why_not().is_none()),
            ..Capabilities::default()
        }
    }

    fn start<'a>(
        &'a self,
        request: StartRequest<'a>,
    ) -> BoxFuture<'a, Result<Running, SandboxError>> {
        Box::pin(self.launch(request))
    }

    fn resume<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move {
            freeze(target, false).await?;
            if saved::is_held(target.folders.root()) {
                saved::release(self.there()?, target).await?;
            }
            Ok(())
        })
    }

    fn save<'a>(
        &'a self,
        target: Target<'a>,
        into: &'a Path,
        _memory: bool,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move { saved::save(self.there()?, target, into).await })
    }

    fn why_no_memory(&self) -> BoxFuture<'_, String> {
        let why = match self.there() {
            Ok(runsc) => runsc.why_not().map(|why| format!("{why}; {}", runsc::NEWER)),
            Err(error) => Some(error.to_string()),
        };
        Box::pin(std::future::ready(why.unwrap_or_default()))
    }
}
