//! What this host has and lacks for Firecracker machines. That there is a `/dev/kvm` proves
//! nothing: a machine is booted.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use atelier_api::Fault;
use atelier_api::system::{Check, Verdict};

use super::api::{BootSource, MachineConfig};
use super::{Api, Firecracker, SOCKET};
use crate::VmError;
use crate::command::{Monitor, last_words, program};
use crate::error::Result;
use crate::files;
use crate::kernel::{BootFiles, Kernel};
use crate::machine::command_line;

/// What the guest prints; the same words as in `atelier_guest::machine`.
const PASSED: &str = "atelier: trial passed";
/// A machine boots within a second; where KVM only seems to work, it crawls and dies.
const LIMIT: Duration = Duration::from_secs(10);
const RESULT: &str = "result.json";

/// Looks for Firecracker, its jailer and a kernel, and boots a machine. How that came out is kept
/// in `cache` until the host restarts or one of them changes.
pub async fn probe(
    firecracker: Option<&Path>,
    kernel: Option<&Path>,
    guest: &Path,
    cache: &Path,
) -> Vec<Check> {
    let found = Firecracker::find(firecracker);
    let kernel = Kernel::find(kernel);
    let mut checks = vec![
        check("firecracker", &found, |it| it.version().to_owned()),
        jailer(),
        check("kernel", &kernel, |it| format!("{} ({})", it.path.display(), it.release)),
    ];
    if let (Ok(found), Ok(kernel)) = (found, kernel) {
        let booted = match kernel.prepare(guest, &cache.join("kernels")) {
            Ok(boot) => found.try_boot(&boot, cache).await,
            Err(error) => Err(error),
        };
        checks.push(check("boot", &booted, |()| "a machine boots with KVM".to_owned()));
    }
    checks
}

impl Firecracker {
    /// Whether a machine boots here.
    ///
    /// # Errors
    /// When it does not, with the reason.
    pub async fn try_boot(&self, boot: &BootFiles, cache: &Path) -> Result<()> {
        let host = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let kvm = fs::File::options().read(true).write(true).open("/dev/kvm");
        kvm.map_err(|error| VmError::Missing {
            what: "KVM",
            why: format!("/dev/kvm can't be opened: {error}"),
            remedy: "turn virtualisation on in the firmware, or join the group kvm: 'sudo usermod \
                -aG kvm $USER'; without KVM use the runtime qemu"
                .to_owned(),
        })?;
        let id = files::identity(&["firecracker", &boot.id, &host], &[&self.program])?;
        let folder = cache.join("trials").join(id);
        if !folder.join(RESULT).exists() {
            let fresh = folder.with_extension(std::process::id().to_string());
            files::make_private(&fresh)?;
            let why = self.trial(boot, &fresh).await.err().map(|error| error.to_string());
            drop(fs::remove_dir_all(&fresh));
            files::make_private(&folder)?;
            let path = folder.join(RESULT);
            let text = serde_json::to_vec(&why).unwrap_or_default();
            fs::write(&path, text).map_err(VmError::io("writing", path))?;
        }
        let text = fs::read(folder.join(RESULT)).unwrap_or_default();
        match serde_json::from_slice::<Option<String>>(&text) {
            Ok(None) => Ok(()),
            Ok(Some(why)) => Err(VmError::Missing {
                what: "a KVM that boots machines",
                why,
                remedy: "run on a host with its own processor, or use the runtime qemu".to_owned(),
            }),
            Err(error) => Err(VmError::State { folder, why: error.to_string() }),
        }
    }

    async fn trial(&self, boot: &BootFiles, dir: &Path) -> Result<()> {
        let log = "monitor.log";
        let mut monitor = Monitor::start(&self.command("trial"), dir, log)?;
        let api = Api::connect_soon(&dir.join(SOCKET)).await?;
        let config = MachineConfig {
            vcpu_count: 1,
            mem_size_mib: 256,
            smt: false,
            track_dirty_pages: false,
        };
        api.machine_config(&config).await?;
        let line = "reboot=k pci=off atelier.off=reset atelier.trial";
        api.boot_source(&BootSource {
            kernel_image_path: boot.vmlinux.to_string_lossy().into_owned(),
            initrd_path: Some(boot.initrd.to_string_lossy().into_owned()),
            boot_args: command_line(boot, false, line),
        })
        .await?;
        api.start().await?;
        let until = Instant::now() + LIMIT;
        loop {
            let over = monitor.ended();
            // The machine's console is the monitor's output.
            let text = fs::read(dir.join(log)).unwrap_or_default();
            if String::from_utf8_lossy(&text).contains(PASSED) {
                return Ok(());
            }
            if let Some(why) = over {
                return Err(VmError::Machine { what: "did not boot", why });
            }
            if Instant::now() > until {
                let seconds = LIMIT.as_secs();
                let last = last_words(&dir.join(log));
                let why = format!("nothing after {seconds} s; its last words: {last}");
                return Err(VmError::Machine { what: "did not boot", why });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn jailer() -> Check {
    let found = program("jailer", None);
    Check {
        name: "jailer".to_owned(),
        verdict: if found.is_some() { Verdict::Ok } else { Verdict::Warning },
        detail: found.as_ref().map_or_else(
            || "no program jailer: monitors run as this user, with this user's rights".to_owned(),
            |path| path.display().to_string(),
        ),
        remedy: found.is_none().then(|| "it comes with Firecracker's releases".to_owned()),
        fixable: false,
    }
}

fn check<T>(name: &str, found: &Result<T>, detail: impl Fn(&T) -> String) -> Check {
    let problem = found.as_ref().err().map(Fault::problem);
    Check {
        name: name.to_owned(),
        verdict: if found.is_ok() { Verdict::Ok } else { Verdict::Failed },
        detail: match (found, &problem) {
            (Ok(it), _) => detail(it),
            (Err(_), problem) => problem.as_ref().map_or_else(String::new, |it| it.detail.clone()),
        },
        remedy: problem.and_then(|it| it.hints.into_iter().next()),
        fixable: false,
    }
}
