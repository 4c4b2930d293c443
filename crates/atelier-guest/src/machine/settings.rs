//! What the kernel's command line says to us: `atelier.NAME=VALUE`.

/// What the machine is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `atelier.trial`: only show that the machine boots.
    pub trial: bool,
    /// `atelier.warm`: use the disk before serving, for a machine of which copies will be made.
    pub warm: bool,
    /// `atelier.port`: the TCP port to serve on.
    pub port: u16,
    /// `atelier.vsock`: the vsock port to serve on, instead of TCP.
    pub vsock: Option<u32>,
    /// `atelier.mtu`: the link's, in bytes.
    pub mtu: Option<u32>,
    /// `atelier.hostname`: until somebody renames the machine.
    pub hostname: String,
    /// `atelier.disks`: the names of the base disk and of the layer disk, when disks carry no
    /// serial numbers.
    pub disks: Option<(String, String)>,
    /// `atelier.off`: how the machine ends.
    pub off: Off,
}

/// How a machine ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Off {
    /// It is turned off.
    Power,
    /// It restarts, which its monitor takes for the end.
    Reset,
}

impl Settings {
    /// Reads the kernel's command line.
    pub fn read() -> Self {
        Self::parse(&std::fs::read_to_string("/proc/cmdline").unwrap_or_default())
    }

    fn parse(line: &str) -> Self {
        let get = |name: &str| {
            line.split_whitespace()
                .filter_map(|word| word.strip_prefix("atelier."))
                .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        };
        Self {
            trial: line.split_whitespace().any(|word| word == "atelier.trial"),
            warm: line.split_whitespace().any(|word| word == "atelier.warm"),
            port: get("port").and_then(|it| it.parse().ok()).unwrap_or(49_983),
            vsock: get("vsock").and_then(|it| it.parse().ok()),
            mtu: get("mtu").and_then(|it| it.parse().ok()),
            hostname: get("hostname").unwrap_or("sandbox").to_owned(),
            disks: get("disks")
                .and_then(|it| it.split_once(','))
                .map(|(base, layer)| (base.to_owned(), layer.to_owned())),
            off: if get("off") == Some("reset") { Off::Reset } else { Off::Power },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_found_among_the_kernels_own() {
        let line = "console=ttyS0 atelier.warm atelier.port=80 atelier.mtu=1500 atelier.disks=vda,vdb quiet\n";
        let settings = Settings::parse(line);
        assert_eq!((settings.port, settings.mtu, settings.vsock), (80, Some(1500), None));
        assert_eq!(settings.disks, Some(("vda".into(), "vdb".into())));
        assert!(settings.warm && !settings.trial);
        assert_eq!(settings.off, Off::Power);
    }

    #[test]
    fn a_machine_that_is_told_nothing_has_defaults() {
        let settings = Settings::parse("");
        assert_eq!((settings.port, settings.hostname.as_str()), (49_983, "sandbox"));
    }
}
