//! QEMU's `microvm` machine, on KVM where a stock kernel really runs on it, else emulated (TCG).
//!
//! `command.rs` makes command lines, `qmp.rs` speaks to a running monitor, `trial.rs` finds out
//! what works here, `state.rs` saves and revives machines, `changes.rs` knows what one changed of its memory, `template.rs` keeps booted ones.

mod changes;
mod command;
mod probe;
mod qmp;
mod state;
mod template;
mod trial;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use atelier_api::sandbox::DeviceCounters;
use serde::{Deserialize, Serialize};

pub use command::{CONSOLE, LAYER, LINK, SOCKET};
pub use probe::probe;
pub use state::{RunBy, State};
pub use template::Templates;
pub use trial::Choice;

use crate::VmError;
use crate::command::{last_words, output, program};
use crate::error::Result;
use qmp::Qmp;

/// What the guest prints; the same words as in `atelier_guest::machine`.
const READY: &str = "atelier: ready";
const FAILED: &str = "atelier: failed: ";
/// How much of the console is kept in memory while a machine runs, in bytes.
const CONSOLE_KEPT: u64 = 65_536;
const REMEDY: &str = "install it: 'apt install qemu-system-x86' on Debian and Ubuntu, 'dnf install qemu-system-x86-core' on Fedora";

/// QEMU as it is installed here.
#[derive(Debug, Clone)]
pub struct Qemu {
    program: PathBuf,
    /// Major and minor number.
    version: (u32, u32),
    /// As it says it itself.
    version_text: String,
    seccomp: bool,
}

/// What runs a machine's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// The processor itself.
    Kvm,
    /// QEMU's translator: slower by a factor of ten or so, and works everywhere.
    Tcg,
}

impl Accelerator {
    /// The name that users know.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "KVM",
            Self::Tcg => "TCG",
        }
    }
}

impl Qemu {
    /// The QEMU that the user named, or the one in `PATH`.
    ///
    /// # Errors
    /// When there is none, or it is older than 6.0.
    pub fn find(configured: Option<&Path>) -> Result<Self> {
        let missing =
            |why: String| VmError::Missing { what: "QEMU", why, remedy: REMEDY.to_owned() };
        if cfg!(not(target_arch = "x86_64")) {
            return Err(missing("its microvm machine is for x86-64 hosts".to_owned()));
        }
        let name = "qemu-system-x86_64";
        let program = program(name, configured).ok_or_else(|| {
            missing(configured.map_or_else(
                || format!("no program {name}"),
                |path| format!("{} is no program", path.display()),
            ))
        })?;
        let ask = |flag: &str| {
            let mut command = Command::new(&program);
            command.arg(flag);
            output(command)
        };
        let text = ask("-version")?;
        let version = version(&text).ok_or_else(|| missing(format!("its version is {text:?}")))?;
        if version < (6, 0) {
            return Err(missing(format!("{} is too old", text.lines().next().unwrap_or(""))));
        }
        let seccomp = ask("-help")?.contains("-sandbox on");
        let version_text = text.lines().next().unwrap_or_default().to_owned();
        Ok(Self { program, version, version_text, seccomp })
    }

    /// What it says of itself.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version_text
    }

    /// Waits until a machine that boots in `dir` serves, then keeps its console in memory only, so
    /// that nobody inside can fill the host's disk through it.
    ///
    /// # Errors
    /// When the guest says that it can't, or nothing within `limit`. The console's last words are
    /// in the error.
    pub fn wait_ready(&self, dir: &Path, limit: Duration) -> Result<()> {
        wait_console(&dir.join(CONSOLE), READY, limit, || None)?;
        let mut qmp = Qmp::connect_soon(dir, || None)?;
        qmp.keep_console(CONSOLE_KEPT)
    }

    /// Stops a machine's processors where they are. Memory is kept.
    ///
    /// # Errors
    /// When the monitor does not answer.
    pub fn pause(&self, dir: &Path) -> Result<()> {
        Qmp::connect(dir)?.call("stop", None).map(drop)
    }

    /// Lets a paused machine go on.
    ///
    /// # Errors
    /// When the monitor does not answer.
    pub fn resume(&self, dir: &Path) -> Result<()> {
        Qmp::connect(dir)?.call("cont", None).map(drop)
    }

    /// Ends the monitor at once, and with it the machine. For one whose guest does not answer; the
    /// guest's `POST /shutdown` is the tidy way.
    ///
    /// # Errors
    /// When the monitor does not answer.
    pub fn quit(&self, dir: &Path) -> Result<()> {
        Qmp::connect(dir)?.call("quit", None).map(drop)
    }

    /// What the machine's disks did since its monitor was started.
    ///
    /// # Errors
    /// When the monitor does not answer.
    pub fn devices(&self, dir: &Path) -> Result<DeviceCounters> {
        let disks = Qmp::connect(dir)?.call("query-blockstats", None)?;
        let sum = |name: &str| {
            let all = disks.as_array().into_iter().flatten();
            all.filter_map(|disk| disk["stats"][name].as_u64()).sum()
        };
        Ok(DeviceCounters {
            disk_read: sum("rd_bytes"),
            disk_written: sum("wr_bytes"),
            disk_reads: sum("rd_operations"),
            disk_writes: sum("wr_operations"),
            ..DeviceCounters::default()
        })
    }

    /// What the machine has printed on its console lately: what the kernel says of a panic or of
    /// processes that were ended for want of memory.
    ///
    /// # Errors
    /// When the monitor does not answer.
    pub fn console(&self, dir: &Path) -> Result<String> {
        Qmp::connect(dir)?.read_console(CONSOLE_KEPT)
    }
}

/// Reads the console's log until a line begins with `wanted`.
fn wait_console(
    log: &Path,
    wanted: &str,
    limit: Duration,
    mut ended: impl FnMut() -> Option<String>,
) -> Result<()> {
    let until = Instant::now() + limit;
    loop {
        // Asked for first: what is printed before the end is read after it.
        let over = ended();
        let text = std::fs::read(log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let failed = |why: String| Err(VmError::Machine { what: "did not boot", why });
        for line in text.lines() {
            if line.starts_with(wanted) {
                return Ok(());
            }
            if let Some(why) = line.strip_prefix(FAILED) {
                return failed(why.trim().to_owned());
            }
        }
        if let Some(how) = over {
            return failed(format!("its monitor ended with {how}; console: {}", last_words(log)));
        }
        if Instant::now() > until {
            let seconds = limit.as_secs();
            return failed(format!("nothing after {seconds} s; console: {}", last_words(log)));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `QEMU emulator version 7.2.22 (Debian ...)`
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split("version ").nth(1)?.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(version("QEMU emulator version 7.2.22 (Debian 1:7.2)\n"), Some((7, 2)));
        assert_eq!(version("QEMU emulator version 10.0.2\n"), Some((10, 0)));
        assert_eq!(version("something"), None);
    }

    #[test]
    fn a_guest_that_fails_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("console");
        std::fs::write(&log, "noise\natelier: failed: there is no base disk\r\n").unwrap();
        let error = wait_console(&log, READY, Duration::ZERO, || None).unwrap_err().to_string();
        assert_eq!(error, "the virtual machine did not boot: there is no base disk");
    }

    #[test]
    fn a_machine_that_hangs_shows_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("console");
        std::fs::write(&log, "Unable to calibrate against PIT\n").unwrap();
        let error = wait_console(&log, READY, Duration::ZERO, || None).unwrap_err().to_string();
        assert!(error.ends_with("console: Unable to calibrate against PIT"), "{error}");
    }
}
