//! What an environment's sandbox knows of its services: names in its hosts file, and the way to them and
//! to nobody else's.

use std::fs;
use std::io::{Seek, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use atelier_api::Problem;
use atelier_net::{Detour, Mode, Network, Policy, Ports, Rule, Target as RuleTarget};

use super::names::Target;
use super::record::ServicesRecord;
use super::subnets::ALL_V6;
use crate::error::broken;
use crate::record::Record;
use crate::workshop::Workshop;

const BEGIN: &str = "# services of this environment, by atelier";
const END: &str = "# end of services";
/// HTTP's own port.
const HTTP: u16 = 80;

impl Workshop {
    /// The policy of an environment's sandbox: its own services, and nobody else's.
    pub(crate) fn policy(&self, record: &Record, services: Option<&ServicesRecord>) -> Policy {
        let mut policy = record.policy.clone();
        let mut own: Vec<Rule> = services.into_iter().flat_map(own_networks).collect();
        match policy.mode {
            Mode::Open => {
                let (first, prefix) = self.driver.settings.subnets;
                let all =
                    [Network::new(first.into(), prefix), Network::new(ALL_V6.0.into(), ALL_V6.1)];
                policy.deny.extend(all.into_iter().flatten().map(whole));
            }
            // Without any way out there are still the services.
            Mode::None if !own.is_empty() => policy.mode = Mode::Allowlist,
            Mode::None | Mode::Allowlist => {}
        }
        let names = self.driver.names.of(record.id);
        if names.iter().any(|(_, target)| target.doors.is_some()) {
            // Its addresses lead nowhere, or to somebody else's machine.
            own.clear();
            policy.detours = self.detours(&names, services);
        }
        policy.allow.extend(own);
        policy
    }

    /// What stands for addresses of services that this machine doesn't reach: their ports on its loopback,
    /// and the ingress for their network's own address.
    fn detours(
        &self,
        names: &[(String, Target)],
        services: Option<&ServicesRecord>,
    ) -> Vec<Detour> {
        let mut detours = Vec::new();
        for (_, target) in names {
            for (port, door) in target.doors.iter().flatten() {
                let to = SocketAddr::from((Ipv4Addr::LOCALHOST, *door));
                let all = target.addresses.iter().map(|ip| SocketAddr::new(*ip, *port));
                detours.extend(all.map(|from| Detour { from, to }));
            }
        }
        if let (Some(front), Some(ingress)) = (self.front_inside(services), self.ingress) {
            let to = SocketAddr::from((Ipv4Addr::LOCALHOST, ingress));
            detours.push(Detour { from: SocketAddr::new(front, HTTP), to });
        }
        detours.sort_unstable_by_key(|detour| (detour.from, detour.to));
        detours.dedup();
        detours
    }

    /// Where names are answered on HTTP's own port inside, though this machine is not in the network.
    fn front_inside(&self, services: Option<&ServicesRecord>) -> Option<IpAddr> {
        self.ingress?;
        Some(IpAddr::V4(services?.main_network()?.gateway_v4))
    }

    /// Writes the names into a sandbox that runs, and opens the way.
    pub(crate) async fn tell_sandbox(self: &Arc<Self>, record: &Record) -> Result<(), Problem> {
        if self.sandboxes.live(record.id).is_none() {
            return Ok(());
        }
        let services = self.services_up(record.id).await?;
        let policy = self.policy(record, services.as_ref());
        let lines = self.host_lines(record, services.as_ref());
        let folders = self.sandboxes.folders(record.id);
        let (socket, hosts) = (folders.network(), folders.hosts(&record.options.resources));
        let told = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
            write_hosts(&hosts, &lines)?;
            if socket.exists() {
                atelier_net::control::set_policy(&socket, &policy)?;
            }
            Ok(())
        });
        told.await.map_err(|e| broken(&e))?.map_err(|e| {
            let detail =
                format!("the sandbox of {} could not be told of its services: {e}", record.name);
            Problem::new("env.names", atelier_api::ExitCode::Engine, detail).hint(format!(
                "stop it, it starts again by itself: atelier env stop {}",
                record.name
            ))
        })
    }

    fn host_lines(
        &self,
        record: &Record,
        services: Option<&ServicesRecord>,
    ) -> Vec<(String, IpAddr)> {
        let mut lines = Vec::new();
        for (name, target) in self.driver.names.of(record.id) {
            if name.ends_with(".localhost") {
                continue;
            }
            let own = reachable(&target.addresses);
            for ip in &own {
                let short = (target.service.clone(), *ip);
                if !lines.contains(&short) {
                    lines.push(short);
                }
            }
            let inside = target.doors.as_ref().and_then(|_| self.front_inside(services));
            let shown = match (target.front.or(inside), target.web) {
                (Some(front), Some(_)) => vec![front],
                _ => own,
            };
            lines.extend(shown.into_iter().map(|ip| (name.clone(), ip)));
        }
        lines
    }
}

/// The addresses that a hosts file names: those of IPv4 where there are any. An IPv6 address of a container
/// is not answered for until the kernel has looked for duplicates, and programs that try it first would
/// wait for that.
fn reachable(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let v4: Vec<IpAddr> = addresses.iter().copied().filter(IpAddr::is_ipv4).collect();
    if v4.is_empty() { addresses.to_vec() } else { v4 }
}

fn own_networks(services: &ServicesRecord) -> Vec<Rule> {
    let nets = services.networks.iter().flat_map(|plan| {
        let v4 = Network::new(plan.subnet_v4.address().into(), plan.subnet_v4.length());
        let v6 = plan.subnet_v6.and_then(|v6| Network::new(v6.address().into(), v6.length()));
        [v4, v6]
    });
    nets.flatten().map(whole).collect()
}

fn whole(network: Network) -> Rule {
    Rule { target: RuleTarget::Network(network), ports: Ports::ALL }
}

/// Replaces our lines. The file is bound into the sandbox, so it must stay the same one.
fn write_hosts(path: &Path, lines: &[(String, IpAddr)]) -> std::io::Result<()> {
    let old = match fs::read_to_string(path) {
        Ok(old) => old,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let new = with_lines(&old, lines);
    if new == old {
        return Ok(());
    }
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    file.rewind()?;
    file.write_all(new.as_bytes())?;
    file.set_len(new.len() as u64)
}

fn with_lines(old: &str, lines: &[(String, IpAddr)]) -> String {
    let mut new = String::new();
    let mut ours = false;
    for line in old.lines() {
        ours |= line == BEGIN;
        if !ours {
            new.push_str(line);
            new.push('\n');
        }
        ours &= line != END;
    }
    if !lines.is_empty() {
        new.push_str(BEGIN);
        new.push('\n');
        for (name, ip) in lines {
            new.push_str(&format!("{ip} {name}\n"));
        }
        new.push_str(END);
        new.push('\n');
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_lines_are_replaced_and_the_users_stay() {
        let own = "127.0.0.1 localhost\n10.9.9.9 mine\n";
        let one = with_lines(own, &[("db".into(), "10.224.0.9".parse().unwrap())]);
        assert!(one.starts_with(own) && one.contains("10.224.0.9 db\n"), "{one}");
        let two = with_lines(&one, &[("api".into(), "10.224.0.8".parse().unwrap())]);
        assert!(!two.contains("10.224.0.9") && two.contains("10.224.0.8 api\n"), "{two}");
        assert_eq!(with_lines(&two, &[]), own);
    }
}
