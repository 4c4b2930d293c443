//! What this host has and lacks for Firecracker machines. That there is a `/dev/kvm` proves
//! nothing: a machine is booted.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use atelier_api::Fault;
use atelier_api::system::{Check, Verdict};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::geteuid;

use super::api::{BootSource, MachineConfig};
use super::{Api, Firecracker, RELEASES, SOCKET};
use crate::VmError;
use crate::command::{Monitor, last_words, program};
use crate::error::Result;
use crate::files;
use crate::kernel::{BootFiles, Kernel};
use crate::layer;
use crate::machine::command_line;

/// What the guest prints; the same words as in `atelier_guest::machine`.
const PASSED: &str = "atelier: trial passed";
/// A machine boots within a second; where KVM only seems to work, it crawls and dies.
const LIMIT: Duration = Duration::from_secs(10);
const RESULT: &str = "result.json";

/// Looks for Firecracker, its jailer, KVM and a kernel, and boots a machine when all are there. How
/// that came out is kept in `cache` until the host restarts or one of them changes.
pub async fn probe(
    firecracker: Option<&Path>,
    kernel: Option<&Path>,
    guest: &Path,
    cache: &Path,
) -> Vec<Check> {
    let found = Firecracker::find(firecracker);
    let kernel = Kernel::find(kernel);
    let root = geteuid().is_root();
    let mut checks = vec![
        check("firecracker", &found, |it| it.version().to_owned()),
        jailer(root),
        check("kvm", &kvm(Path::new("/dev/kvm")), |()| "/dev/kvm is open to us".to_owned()),
        check("kernel", &kernel, |it| format!("{} ({})", it.path.display(), it.release)),
        check("mkfs.ext4", &layer::mkfs(), |it| it.display().to_string()),
    ];
    if root {
        checks.push(check("jails", &jails(cache), |()| "jails can hold devices".to_owned()));
    }
    let fit = checks.iter().all(|check| check.verdict != Verdict::Failed);
    if let (true, Ok(found), Ok(kernel)) = (fit, found, kernel) {
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
        kvm(Path::new("/dev/kvm"))?;
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

/// Whether the kernel's virtual machines can be had.
fn kvm(device: &Path) -> Result<()> {
    let Err(error) = fs::File::options().read(true).write(true).open(device) else { return Ok(()) };
    let (why, remedy) = match error.kind() {
        io::ErrorKind::NotFound => (
            format!("there is no {}", device.display()),
            "turn virtualisation on in the firmware and run 'sudo modprobe kvm_intel' or 'kvm_amd'; \
             in a virtual machine, let its host pass virtualisation on; without KVM use the runtime \
             qemu",
        ),
        io::ErrorKind::PermissionDenied => (
            format!("this user may not open {}", device.display()),
            "join the group kvm with 'sudo usermod -aG kvm $USER' and log in again",
        ),
        _ => (
            format!("{} can't be opened: {error}", device.display()),
            "load the module that fits the processor ('sudo modprobe kvm_intel' or 'kvm_amd'); \
             without KVM use the runtime qemu",
        ),
    };
    Err(VmError::Missing { what: "KVM", why, remedy: remedy.to_owned() })
}

/// Root's rights are what the jailer takes from a monitor, so root needs it; others can't use it.
fn jailer(root: bool) -> Check {
    let found = program("jailer", None);
    let (verdict, detail) = match (&found, root) {
        (Some(path), true) => (Verdict::Ok, path.display().to_string()),
        (None, true) => {
            (Verdict::Failed, "no program jailer: monitors would run as root".to_owned())
        }
        (_, false) => {
            (Verdict::Warning, "only root can use it: monitors run as this user".to_owned())
        }
    };
    let remedy = (verdict != Verdict::Ok).then(|| match root {
        true => RELEASES.to_owned(),
        false => "use the control plane of root if that is not enough".to_owned(),
    });
    Check { name: "jailer".to_owned(), verdict, detail, remedy, fixable: false }
}

/// A jail has a copy of Firecracker and devices in it.
fn jails(folder: &Path) -> Result<()> {
    let there = folder.ancestors().find(|it| it.is_dir()).unwrap_or(Path::new("/"));
    let flags = statvfs(there).map_err(|e| VmError::io("asking about", there)(e.into()))?.flags();
    let Some(why) = forbidden(flags) else { return Ok(()) };
    Err(VmError::Missing {
        what: "a folder for jails",
        why: format!("the filesystem of {} is mounted with {why}", there.display()),
        remedy: format!("point ATELIER_HOME at a filesystem that is mounted without {why}"),
    })
}

/// The option of a mount that no jail can live with.
fn forbidden(flags: FsFlags) -> Option<&'static str> {
    let all = [(FsFlags::ST_NODEV, "nodev"), (FsFlags::ST_NOEXEC, "noexec")];
    all.into_iter().find(|(flag, _)| flags.contains(*flag)).map(|(_, name)| name)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn mended_by(device: &str) -> (String, String) {
        let error = kvm(Path::new(device)).unwrap_err();
        (error.to_string(), error.hints().remove(0))
    }

    #[test]
    fn a_host_without_kvm_is_told_why_and_what_mends_it() {
        let (why, remedy) = mended_by("/nowhere/kvm");
        assert_eq!(why, "KVM is missing: there is no /nowhere/kvm");
        assert!(remedy.contains("firmware") && remedy.contains("qemu"), "{remedy}");
        // A folder can't be opened for writing, by root neither.
        let (why, _) = mended_by("/");
        assert!(why.contains("/ can't be opened: "), "{why}");
        assert!(kvm(Path::new("/dev/null")).is_ok());
    }

    #[test]
    fn root_needs_the_jailer_and_others_are_told_that_they_have_none() {
        let name = "jailer";
        assert_eq!((jailer(false).verdict, jailer(false).name.as_str()), (Verdict::Warning, name));
        if program(name, None).is_none() {
            let check = jailer(true);
            assert_eq!(check.verdict, Verdict::Failed);
            assert!(check.remedy.unwrap().contains("releases"));
        }
    }

    #[test]
    fn jails_lie_where_devices_and_programs_work() {
        assert_eq!(forbidden(FsFlags::ST_NODEV | FsFlags::ST_NOSUID), Some("nodev"));
        assert_eq!(forbidden(FsFlags::ST_NOEXEC), Some("noexec"));
        assert_eq!(forbidden(FsFlags::ST_NOSUID | FsFlags::ST_RELATIME), None);
        assert!(jails(Path::new("/not/there/yet")).is_ok() || forbidden_here().is_some());
    }

    fn forbidden_here() -> Option<&'static str> {
        forbidden(statvfs("/").unwrap().flags())
    }
}
