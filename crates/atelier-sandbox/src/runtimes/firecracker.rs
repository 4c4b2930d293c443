//! The runtime `firecracker`: a virtual machine of Firecracker's on KVM, in its jailer's jail where
//! the control plane is root's. New ones go on from a template that has booted already.

mod place;
mod users;

use std::path::Path;
use std::time::Duration;

use atelier_api::sandbox::DeviceCounters;
use atelier_api::system::{Check, Verdict};
use atelier_guest::client::Guest;
use atelier_guest::outside::LinkKind;
use atelier_vm::firecracker::{
    Api, Firecracker, LAYER, Load, Logger, MEMORY, METRICS, Meter, Metrics, NetworkInterface, Plan,
    SOCKET, STATE, State, Templates,
};
use atelier_vm::{BootFiles, Kernel, Machine, VmError, layer};
use place::Place;

use crate::runtime::{BoxFuture, Capabilities, Running, Runtime, StartRequest, Target};
use crate::runtimes::launcher;
use crate::runtimes::machines::{self, Driver, blocking, size};
use crate::runtimes::outside::{self, Program};
use crate::{Folders, SandboxError};

const NAME: &str = "firecracker";
/// A machine boots within a second; a host that is busy takes longer.
const BOOT_LIMIT: Duration = Duration::from_secs(60);
/// From the monitor's start until it takes requests.
const MONITOR_LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);
/// More processors than this Firecracker gives no machine.
const MOST_CPUS: u32 = 32;
const BASE: &str = "base";
const LOG: &str = "monitor.log";

/// The driver.
pub type FirecrackerRuntime = Driver<Host>;

/// What machines are run with here.
#[derive(Debug, Clone)]
pub struct Host {
    firecracker: Firecracker,
    boot: BootFiles,
}

/// A machine that is to start, with its files in its place.
struct Ready {
    place: Place,
    machine: Machine,
    begin: Begin,
}

/// What it starts from.
enum Begin {
    /// A state with memory.
    State,
    /// Its disk alone; what was not written to yet becomes the template of that name.
    Boot(Option<String>),
}

impl machines::Host for Host {
    fn find(guest: &Path, cache: &Path) -> Result<Self, VmError> {
        let firecracker = Firecracker::find(None)?;
        let boot = Kernel::find(None)?.prepare(guest, &cache.join("kernels"))?;
        Ok(Self { firecracker, boot })
    }
}

impl FirecrackerRuntime {
    fn templates(&self) -> Templates {
        Templates::new(self.cache.join("firecracker"))
    }

    async fn launch(&self, request: StartRequest<'_>) -> Result<Running, SandboxError> {
        let image = request.image.ok_or_else(|| launcher::failed(NAME, &"it needs an image"))?;
        let host = self.host().await?;
        let base = request.images.disk(image).await?.path;
        let ready = self.prepare(&host, &base, request).await?;
        let program = Program {
            runtime: NAME,
            words: ready.place.command(),
            link: LinkKind::Wire,
            mtu: None,
            small_pages: false,
            overlay: None,
            pid_file: None,
            cwd: Some(ready.place.folder().to_owned()),
        };
        let mut running = outside::start(program, &self.guest, request).await?;
        running.notes.extend(ready.place.note());
        let instance = running.instance.clone();
        let raised = self.raise(&host, &ready, running, request).await;
        if raised.is_err() {
            let _ = instance.kill();
        }
        raised
    }

    /// Puts everything that the monitor opens into its place.
    async fn prepare(
        &self,
        host: &Host,
        base: &Path,
        request: StartRequest<'_>,
    ) -> Result<Ready, SandboxError> {
        let (machine, disk) = size(request.spec);
        if machine.cpus > MOST_CPUS {
            let why = format!("a machine of Firecracker's has {MOST_CPUS} processors at most");
            return Err(launcher::failed(NAME, &why));
        }
        let (host, base, folders) = (host.clone(), base.to_owned(), request.folders.clone());
        let (id, saved) = (request.spec.id.simple().to_string(), request.state.map(Path::to_owned));
        let (templates, disks) = (self.templates(), self.cache.join("disks"));
        let work = move || -> Result<Ready, SandboxError> {
            let place = Place::make(&host.firecracker, &folders, &id)?;
            let layer = folders.root().join(LAYER);
            let (state, begin) = match saved {
                Some(saved) => match State::open(&saved) {
                    Ok(state) => (Some(state), Begin::State),
                    Err(_) => {
                        // Files alone.
                        place::copy_anew(&saved.join(LAYER), &layer)?;
                        (None, Begin::Boot(None))
                    }
                },
                None if layer.exists() => (None, Begin::Boot(None)),
                None => {
                    let fc = &host.firecracker;
                    let name = Templates::name(fc, &host.boot, &base, disk, &machine)?;
                    match templates.get(&name) {
                        Some(state) => (Some(state), Begin::State),
                        None => {
                            layer::make(&layer, disk, &disks)?;
                            (None, Begin::Boot(Some(name)))
                        }
                    }
                }
            };
            if let Some(state) = &state {
                state.fits(&host.firecracker)?;
                place::copy_anew(&state.folder().join(LAYER), &layer)?;
                place.put(&state.folder().join(STATE), STATE)?;
                place.put(&state.folder().join(MEMORY), MEMORY)?;
            } else {
                place.put(&host.boot.vmlinux, "vmlinux")?;
                place.put(&host.boot.initrd, "initrd")?;
            }
            place.put(&base, BASE)?;
            place.lend(&layer, LAYER)?;
            place.touch(LOG)?;
            place.touch(METRICS)?;
            meter(&folders).reset();
            // A copy has the size of its origin.
            let machine = state.map_or(machine, |state| state.machine().clone());
            Ok(Ready { place, machine, begin })
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|e| SandboxError::io("preparing", "")(std::io::Error::other(e)))?
    }

    /// Tells the monitor what to run, and waits for the guest.
    async fn raise(
        &self,
        host: &Host,
        ready: &Ready,
        running: Running,
        request: StartRequest<'_>,
    ) -> Result<Running, SandboxError> {
        let api = Api::new(ready.place.folder().join(SOCKET));
        takes_requests(&api, &running, request).await?;
        let logger = Logger { log_path: LOG.to_owned(), level: "Warning".to_owned() };
        let metrics = Metrics { metrics_path: METRICS.to_owned() };
        let rates = &request.spec.rates;
        match &ready.begin {
            Begin::State => {
                api.logger(&logger).await?;
                api.metrics(&metrics).await?;
                // Processes that go on are held to the rates from their first moment. A state may have
                // some of its own, which a template has not.
                let hold = request.state.is_some() || !rates.is_empty();
                api.load(&Load { resume_vm: !hold, ..State::load() }).await?;
                if hold {
                    api.hold_to(rates).await?;
                    api.resume().await?;
                }
            }
            Begin::Boot(_) => {
                let boot = BootFiles {
                    vmlinux: "vmlinux".into(),
                    initrd: "initrd".into(),
                    ..host.boot.clone()
                };
                let mut plan = Plan::new(&boot, &ready.machine, BASE.into(), LAYER.into());
                plan.network = Some(NetworkInterface::wire());
                plan.logger = Some(logger);
                plan.metrics = Some(metrics);
                plan.boot(&api).await?;
            }
        }
        let guest = self.guest(request.folders);
        let running = outside::answered(NAME, &guest, running, request, BOOT_LIMIT).await?;
        if let Begin::Boot(Some(name)) = &ready.begin {
            self.keep(host, ready, &api, name, request.folders).await?;
        }
        if let (Begin::Boot(_), false) = (&ready.begin, rates.is_empty()) {
            // Only now: a template knows no rates, since copies of it have others.
            api.hold_to(rates).await?;
        }
        Ok(running)
    }

    /// Keeps a machine that has just booted as a template: nobody has told it anything yet. One that
    /// can't be kept is worth a warning, not the machine.
    async fn keep(
        &self,
        host: &Host,
        ready: &Ready,
        api: &Api,
        name: &str,
        folders: &Folders,
    ) -> Result<(), SandboxError> {
        let warn = |error| tracing::warn!(%error, "a template can't be kept: machines will boot");
        let making = match self.templates().begin(name) {
            Ok(Some(making)) => making,
            Ok(None) => return Ok(()),
            Err(error) => {
                warn(error);
                return Ok(());
            }
        };
        api.pause().await?;
        let (dir, layer) = (ready.place.folder(), folders.root().join(LAYER));
        let saved =
            State::save(&host.firecracker, &ready.machine, dir, &layer, making.place()).await;
        api.resume().await?;
        if let Err(error) = saved.and_then(|_| making.done()) {
            warn(error);
        }
        Ok(())
    }

    fn api(target: Target<'_>) -> Api {
        Api::new(place::machine(target.folders).join(SOCKET))
    }

    async fn write(
        &self,
        target: Target<'_>,
        into: &Path,
        memory: bool,
    ) -> Result<(), SandboxError> {
        let layer = target.folders.root().join(LAYER);
        if memory {
            let (host, machine) = (self.host().await?, size(target.spec).0);
            let dir = place::machine(target.folders);
            State::save(&host.firecracker, &machine, &dir, &layer, into).await?;
            return Ok(());
        }
        let into = into.join(LAYER);
        blocking(move || layer::copy_sparse(&layer, &into)).await
    }
}

/// What the monitor of a sandbox counts.
fn meter(folders: &Folders) -> Meter {
    Meter::new(&place::machine(folders), folders.root().join("metrics.json"))
}

/// Waits until the monitor answers.
async fn takes_requests(
    api: &Api,
    running: &Running,
    request: StartRequest<'_>,
) -> Result<(), SandboxError> {
    let until = tokio::time::Instant::now() + MONITOR_LIMIT;
    while let Err(error) = api.info().await {
        if !running.instance.is_alive() {
            return Err(outside::failed(NAME, "the monitor ended while it started", request));
        }
        if tokio::time::Instant::now() > until {
            return Err(outside::failed(NAME, &error.to_string(), request));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

impl Runtime for FirecrackerRuntime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn isolation(&self) -> &'static str {
        "a small virtual machine with its own kernel, on KVM"
    }

    fn is_extra(&self) -> bool {
        true
    }

    fn probe(&self) -> Vec<Check> {
        let look = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(atelier_vm::firecracker::probe(
                None,
                None,
                &self.guest,
                &self.cache,
            )))
        };
        // A thread of its own: the caller's may be one that must not wait for futures.
        let looked = std::thread::scope(|scope| scope.spawn(look).join());
        let looked = looked.unwrap_or_else(|_| Err(std::io::Error::other("the probe broke off")));
        looked.unwrap_or_else(|error| {
            vec![Check {
                name: NAME.to_owned(),
                verdict: Verdict::Failed,
                detail: format!("it could not be tried: {error}"),
                remedy: None,
                fixable: false,
            }]
        })
    }

    fn prune(&self, unused: Duration) -> Result<u64, SandboxError> {
        Ok(self.templates().prune(unused)?)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            images: true,
            own_kernel: true,
            memory_snapshots: true,
            rates: true,
            ..Capabilities::default()
        }
    }

    fn guest(&self, folders: &Folders) -> Guest {
        place::guest(folders)
    }

    fn start<'a>(
        &'a self,
        request: StartRequest<'a>,
    ) -> BoxFuture<'a, Result<Running, SandboxError>> {
        Box::pin(self.launch(request))
    }

    fn pause<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move { Ok(Self::api(target).pause().await?) })
    }

    fn resume<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move { Ok(Self::api(target).resume().await?) })
    }

    fn devices<'a>(
        &'a self,
        target: Target<'a>,
        now: bool,
    ) -> BoxFuture<'a, Result<Option<DeviceCounters>, SandboxError>> {
        Box::pin(async move {
            if now {
                Self::api(target).flush_metrics().await?;
            }
            let meter = meter(target.folders);
            blocking(move || meter.read().map(Some)).await
        })
    }

    fn save<'a>(
        &'a self,
        target: Target<'a>,
        into: &'a Path,
        memory: bool,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(self.write(target, into, memory))
    }
}
