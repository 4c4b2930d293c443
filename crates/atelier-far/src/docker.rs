//! Docker contexts that ssh reaches: whoever has one has told already where the machine is.

use std::fs;
use std::path::{Path, PathBuf};

use crate::hosts::Host;

/// The contexts that lead to another machine by ssh, as hosts.
pub(crate) fn hosts() -> Vec<Host> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| home.join(".docker")));
    folder.map(|folder| read(&folder)).unwrap_or_default()
}

/// Each context lies in a folder that is called like a hash of its name.
fn read(folder: &Path) -> Vec<Host> {
    let entries = fs::read_dir(folder.join("contexts/meta")).into_iter().flatten().flatten();
    let mut hosts: Vec<Host> =
        entries.filter_map(|entry| host(&fs::read(entry.path().join("meta.json")).ok()?)).collect();
    hosts.sort_by(|a, b| a.name.cmp(&b.name));
    hosts
}

fn host(meta: &[u8]) -> Option<Host> {
    let meta: serde_json::Value = serde_json::from_slice(meta).ok()?;
    let name = meta["Name"].as_str()?.to_owned();
    let address = meta["Endpoints"]["docker"]["Host"].as_str()?.strip_prefix("ssh://")?;
    // What follows is a path of the engine's socket, which is looked for there.
    let address = address.split('/').next()?;
    let (ssh, port) = match address.rsplit_once(':') {
        Some((ssh, port)) if port.parse::<u16>().is_ok() => (ssh, port.parse().ok()),
        _ => (address, None),
    };
    let (ssh, options) = (ssh.to_owned(), Vec::new());
    let host = Host { name, ssh, port, identity: None, home: None, options };
    host.check().is_ok().then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_that_ssh_reaches_is_a_host() {
        let dir = tempfile::tempdir().unwrap();
        for (hash, name, address) in [
            ("1", "lab", "ssh://me@lab.example:2222"),
            ("2", "plain", "ssh://lab/run/docker.sock"),
            ("3", "near", "unix:///run/docker.sock"),
            ("4", "bad", "ssh://-oProxyCommand=x"),
        ] {
            let folder = dir.path().join("contexts/meta").join(hash);
            fs::create_dir_all(&folder).unwrap();
            let meta =
                format!(r#"{{"Name":"{name}","Endpoints":{{"docker":{{"Host":"{address}"}}}}}}"#);
            fs::write(folder.join("meta.json"), meta).unwrap();
        }
        let hosts = read(dir.path());
        let told: Vec<_> =
            hosts.iter().map(|h| (h.name.as_str(), h.ssh.as_str(), h.port)).collect();
        assert_eq!(told, [("lab", "me@lab.example", Some(2222)), ("plain", "lab", None)]);
    }
}
