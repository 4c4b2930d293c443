//! Finds out whether machines boot here, by booting one: that there is a `/dev/kvm` proves nothing.

use std::fs;
use std::path::Path;
use std::time::Duration;

use atelier_api::sandbox::Rates;
use serde::{Deserialize, Serialize};

use super::command::{CONSOLE, Memory, Request, boot_line, with_word};
use super::{Accelerator, Qemu, wait_console};
use crate::VmError;
use crate::command::Monitor;
use crate::error::Result;
use crate::files;
use crate::kernel::BootFiles;
use crate::machine::Machine;

/// What the guest prints; the same words as in `atelier_guest::machine`.
const PASSED: &str = "atelier: trial passed";
/// A stock kernel boots within a second or two on a KVM that works; on some that don't, it crawls
/// for a quarter of a minute before it dies.
const KVM_LIMIT: Duration = Duration::from_secs(10);
const TCG_LIMIT: Duration = Duration::from_secs(60);
const RESULT: &str = "result.json";

/// What runs machines on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What works.
    pub accelerator: Accelerator,
    /// Why it is not KVM, if it is not: to be shown to users, since it is slower.
    pub why_not_kvm: Option<String>,
}

impl Qemu {
    /// Boots a machine to see what works: KVM if it can, else TCG. The result is kept in `cache`
    /// until the host, QEMU, the kernel or the guest changes, so this takes seconds only once.
    ///
    /// # Errors
    /// When neither boots; that is not kept.
    pub fn choose(&self, boot: &BootFiles, cache: &Path) -> Result<Choice> {
        let kvm = kvm_opens();
        // Permission may be given at any time, and another kernel may bring another KVM.
        let reason = kvm.as_ref().err().map_or("", String::as_str);
        let words = [boot.id.as_str(), &self.version_text, &boot_id(), reason];
        let id = files::identity(&words, &[&self.program])?;
        let folder = cache.join("trials").join(id);
        files::make_once(&folder, |fresh| {
            let choice = self.try_both(boot, kvm, fresh)?;
            let path = fresh.join(RESULT);
            let text = serde_json::to_vec(&choice).unwrap_or_default();
            fs::write(&path, text).map_err(VmError::io("writing", path))
        })?;
        let path = folder.join(RESULT);
        let text = fs::read(&path).map_err(VmError::io("reading", &path))?;
        serde_json::from_slice(&text)
            .map_err(|error| VmError::State { folder, why: error.to_string() })
    }

    fn try_both(
        &self,
        boot: &BootFiles,
        kvm: std::result::Result<(), String>,
        dir: &Path,
    ) -> Result<Choice> {
        let tried = kvm.and_then(|()| {
            self.trial(Accelerator::Kvm, boot, dir).map_err(|error| error.to_string())
        });
        let Err(why) = tried else {
            return Ok(Choice { accelerator: Accelerator::Kvm, why_not_kvm: None });
        };
        self.trial(Accelerator::Tcg, boot, dir)?;
        Ok(Choice { accelerator: Accelerator::Tcg, why_not_kvm: Some(why) })
    }

    /// Boots a machine without disks, which goes off when it has come up.
    fn trial(&self, accelerator: Accelerator, boot: &BootFiles, dir: &Path) -> Result<()> {
        let machine = Machine { cpus: 1, memory_mib: 256, port: 0, mtu: 1500 };
        let line = with_word(&boot_line(boot, accelerator, &machine), "atelier.trial");
        drop(fs::remove_file(dir.join(CONSOLE)));
        let words = self.words(&Request {
            accelerator,
            machine: &machine,
            boot: Some((boot, line)),
            memory: Memory::Own,
            base: None,
            dir,
            link: false,
            rates: Rates::default(),
        });
        let mut monitor = Monitor::start(&words, dir, "monitor.log")?;
        let limit = if accelerator == Accelerator::Kvm { KVM_LIMIT } else { TCG_LIMIT };
        wait_console(&dir.join(CONSOLE), PASSED, limit, || monitor.ended())?;
        // It goes off by itself, which shows that a machine can.
        monitor.wait(Duration::from_secs(2));
        Ok(())
    }
}

/// Whether this process may use KVM.
fn kvm_opens() -> std::result::Result<(), String> {
    match fs::File::options().read(true).write(true).open("/dev/kvm") {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.kind() {
            std::io::ErrorKind::NotFound => {
                "there is no /dev/kvm: virtualisation is off in the firmware, or this is a virtual \
                 machine without nested virtualisation"
                    .to_owned()
            }
            std::io::ErrorKind::PermissionDenied => {
                "/dev/kvm may not be opened: 'sudo usermod -aG kvm $USER' and a new login mend it"
                    .to_owned()
            }
            _ => format!("/dev/kvm can't be opened: {error}"),
        }),
    }
}

/// Another one after each start of this host.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}
