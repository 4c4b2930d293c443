//! The machine's end.

use std::time::Duration;

use nix::sys::reboot::{RebootMode, reboot};
use nix::unistd::sync;

use super::settings::Off;

/// Writes everything to the disks and turns the machine off. Never comes back as init.
pub fn off(how: Off) -> u8 {
    // SAFETY: no pointers; as init this spares ourselves and reaches everything else.
    unsafe { libc::kill(-1, libc::SIGKILL) };
    sync();
    // Every filesystem becomes read-only, which closes their journals. The layer disk has no path
    // any more that we could name to umount.
    if std::fs::write("/proc/sysrq-trigger", "u").is_ok() {
        // The kernel does it by and by, and says so only on the console.
        std::thread::sleep(Duration::from_millis(50));
    }
    sync();
    let mode = match how {
        Off::Power => RebootMode::RB_POWER_OFF,
        Off::Reset => RebootMode::RB_AUTOBOOT,
    };
    let refused = reboot(mode).err();
    println!("atelier: the machine can't be turned off: {refused:?}");
    loop {
        // An init that ends is a kernel panic, which ends the machine as well, but not tidily.
        std::thread::sleep(Duration::from_secs(3600));
    }
}
