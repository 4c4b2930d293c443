//! Who listens on a port, as the kernel tells it: no program is asked, nothing is connected to.

use std::collections::HashMap;
use std::fs;
use std::io::Read;

use atelier_plugin::Port;

use super::error::Taken;
use super::processes;

/// `LISTEN` in `/proc/net/tcp` (`tcp_states.h` of the kernel).
const LISTEN: &str = "0A";

/// The sockets of this machine that listen, or that are bound for UDP.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    /// By (UDP, port): inode and user.
    sockets: HashMap<(bool, u16), (u64, u32)>,
}

impl Listening {
    /// As it is now, as far as these ports ask for it: the kernel walks through all of a table for each
    /// look into it.
    pub(crate) fn now<'p>(ports: impl Iterator<Item = &'p Port>) -> Self {
        let (udp, tcp): (Vec<_>, Vec<_>) = ports.map(key).partition(|(udp, _)| *udp);
        let mut sockets = HashMap::new();
        let tables = [("tcp", false), ("tcp6", false), ("udp", true), ("udp6", true)];
        let asked = |udp_table: bool| !(if udp_table { &udp } else { &tcp }).is_empty();
        for (file, udp) in tables.into_iter().filter(|(_, udp)| asked(*udp)) {
            for line in table(file).lines().skip(1) {
                if let Some((port, socket)) = parse(line, udp) {
                    sockets.entry((udp, port)).or_insert(socket);
                }
            }
        }
        Self { sockets }
    }

    /// Who listens: a process id where it is ours to see, and words.
    pub(crate) fn holder(&self, port: &Port) -> Option<(Option<i32>, String)> {
        let (inode, user) = self.sockets.get(&key(port))?;
        Some(match owner(*inode) {
            Some(pid) => {
                let name = processes::name(pid).unwrap_or_else(|| "a process".to_owned());
                (Some(pid), format!("{name} (process {pid})"))
            }
            None => (None, format!("a process of user {user}")),
        })
    }

    /// Of these ports the ones that others have.
    pub(crate) fn taken(&self, ports: &[Port]) -> Vec<Taken> {
        let taken = |port: &Port| {
            let (_, holder) = self.holder(port)?;
            Some(Taken { port: port.port, name: port.name.clone(), holder })
        };
        ports.iter().filter_map(taken).collect()
    }
}

/// A table of the kernel's, in as few reads as it takes.
fn table(file: &str) -> String {
    let mut text = String::with_capacity(1 << 16);
    let opened = fs::File::open(format!("/proc/net/{file}"));
    // A kernel without IPv6 has no such table.
    let _ = opened.and_then(|mut file| file.read_to_string(&mut text));
    text
}

fn key(port: &Port) -> (bool, u16) {
    (port.protocol.eq_ignore_ascii_case("udp"), port.port)
}

/// Port, inode and user of a line of `/proc/net/tcp`.
fn parse(line: &str, udp: bool) -> Option<(u16, (u64, u32))> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if !udp && *fields.get(3)? != LISTEN {
        return None;
    }
    let port = u16::from_str_radix(fields.get(1)?.rsplit(':').next()?, 16).ok()?;
    Some((port, (fields.get(9)?.parse().ok()?, fields.get(7)?.parse().ok()?)))
}

/// The process that has a socket open.
fn owner(inode: u64) -> Option<i32> {
    let wanted = format!("socket:[{inode}]");
    let holds = |pid: &i32| {
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        fds.into_iter()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == wanted.as_str()))
    };
    processes::running().into_iter().map(|stat| stat.process.pid).find(holds)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn port(port: u16) -> Port {
        Port { port, name: None, protocol: "http".into(), description: None }
    }

    #[test]
    fn who_listens_is_told_by_name_and_id() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let own = port(listener.local_addr().unwrap().port());
            let now = Listening::now([&own].into_iter());
            let (pid, words) = now.holder(&own).unwrap();
            assert_eq!(pid, i32::try_from(std::process::id()).ok());
            assert!(words.ends_with(&format!("(process {})", std::process::id())), "{words}");
            assert_eq!(now.taken(std::slice::from_ref(&own))[0].port, own.port);
            drop(listener);
            assert!(Listening::now([&own].into_iter()).holder(&own).is_none());
        }
    }
}
