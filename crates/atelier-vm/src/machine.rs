//! What a machine is made of, and what its kernel is told.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::kernel::BootFiles;

/// A machine's size, and how its guest is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Virtual processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The port that the guest serves on: of TCP, or of the vsock with Firecracker.
    pub port: u16,
    /// The MTU of the network link in bytes.
    pub mtu: u32,
}

/// Words for every kernel: few messages on the serial line, which is slow, and an end instead of a
/// halt when something goes wrong.
pub(crate) const COMMON: &str = "console=ttyS0 quiet panic=-1 8250.nr_uarts=1 \
    random.trust_cpu=on rcupdate.rcu_expedited=1 cryptomgr.notests";
/// Words for a kernel that runs emulated, where its defences protect from nothing and cost a third
/// of the time to boot: the monitor is what isolates.
pub(crate) const EMULATED: &str = "mitigations=off init_on_alloc=0";

/// The kernel's command line. Everybody inside can read it.
pub(crate) fn command_line(boot: &BootFiles, emulated: bool, rest: &str) -> String {
    let clock = clock::kernel_words(boot.hz);
    let words = [
        Some(COMMON),
        clock.as_deref(),
        emulated.then_some(EMULATED),
        Some(rest).filter(|rest| !rest.is_empty()),
        // What follows is init's: the guest's subcommand.
        Some("-- init"),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A hardware address as monitors write it.
pub(crate) fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

/// A state fits the kind of processor that it was made on.
pub(crate) fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let told = |line: &&str| {
        ["model name", "flags", "microcode"].iter().any(|name| line.starts_with(name))
    };
    text.lines().filter(told).take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emulated_kernel_is_told_more_and_init_last() {
        let boot = BootFiles {
            id: "k".into(),
            release: "6.1".into(),
            hz: None,
            vmlinux: "/v".into(),
            initrd: "/i".into(),
        };
        let line = command_line(&boot, true, "atelier.port=1");
        assert!(line.contains(EMULATED) && line.ends_with("atelier.port=1 -- init"), "{line}");
        assert!(!command_line(&boot, false, "").contains(EMULATED));
        assert!(!line.contains("lpj="), "nobody knows its tick: {line}");
    }

    #[test]
    fn hardware_addresses_are_written_in_hex() {
        assert_eq!(mac([2, 0x61, 0x74, 0, 0xff, 1]), "02:61:74:00:ff:01");
    }
}
