//! The host's own names, `/etc/hosts`: a sandbox resolves them as the host does. Those that mean
//! the host itself (loopback) are left out, since inside they would mean something else.

use std::net::IpAddr;
use std::path::PathBuf;

use super::watched::Watched;
use crate::Policy;

/// The file, read again when it changes.
pub(super) struct Hosts {
    entries: Watched<Vec<(IpAddr, Vec<String>)>>,
}

impl Hosts {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { entries: Watched::new(path, parse) }
    }

    /// The addresses of a name in lower case.
    pub(super) fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let entries = self.entries.get();
        entries.iter().filter(|(_, names)| names.iter().any(|n| n == name)).map(|e| e.0).collect()
    }

    /// The names of an address.
    pub(super) fn names(&self, ip: IpAddr) -> Vec<String> {
        let entries = self.entries.get();
        entries.iter().filter(|e| e.0 == ip).flat_map(|e| e.1.iter().cloned()).collect()
    }
}

/// hosts(5): an address and its names on each line.
fn parse(text: &str) -> Vec<(IpAddr, Vec<String>)> {
    let line = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let ip: IpAddr = words.next()?.parse().ok()?;
        let names = words.map(|n| n.trim_end_matches('.').to_ascii_lowercase()).collect();
        (!Policy::is_special(ip)).then_some((ip, names))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_names_other_machines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hosts");
        std::fs::write(
            &path,
            "127.0.0.1 localhost me\n10.0.0.9 DB.internal db # ours\n\n::1 me\nx y\n",
        )
        .unwrap();
        let hosts = Hosts::new(path.clone());
        assert_eq!(hosts.addresses("db.internal"), ["10.0.0.9".parse::<IpAddr>().unwrap()]);
        assert!(hosts.addresses("me").is_empty() && hosts.addresses("localhost").is_empty());
        assert_eq!(hosts.names("10.0.0.9".parse().unwrap()), ["db.internal", "db"]);
        std::fs::write(&path, "10.0.0.10 db.internal\n").unwrap();
        assert_eq!(hosts.addresses("db.internal"), ["10.0.0.10".parse::<IpAddr>().unwrap()]);
        std::fs::remove_file(&path).unwrap();
        assert!(hosts.addresses("db.internal").is_empty());
    }
}
