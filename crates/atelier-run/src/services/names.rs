//! Names of services and what they lead to. They are made from what is up, kept in memory, and made anew
//! after a start.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{OnceLock, RwLock};

use atelier_compose::ServicePlan;
use uuid::Uuid;

use super::reached::Reached;
use super::record::ServicesRecord;
use crate::record::Record;

/// What a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whose it is.
    pub environment: Uuid,
    /// The service.
    pub service: String,
    /// Its addresses in its network.
    pub addresses: Vec<IpAddr>,
    /// Its ports with those of 127.0.0.1 where they are reached, when this machine doesn't reach its addresses.
    pub doors: Option<BTreeMap<u16, u16>>,
    /// The port that speaks HTTP.
    pub web: Option<u16>,
    /// This machine's address in its network, where the ingress answers for it.
    pub front: Option<IpAddr>,
}

impl Target {
    /// Where this machine reaches a port of it.
    #[must_use]
    pub fn at(&self, port: u16) -> Option<SocketAddr> {
        if let Some(doors) = &self.doors {
            return doors.get(&port).map(|door| (Ipv4Addr::LOCALHOST, *door).into());
        }
        let v4 = self.addresses.iter().find(|ip| ip.is_ipv4());
        v4.or(self.addresses.first()).map(|ip| SocketAddr::new(*ip, port))
    }

    /// The addresses that its names have on this machine.
    fn shown(&self) -> Vec<IpAddr> {
        match (&self.doors, self.front, self.web) {
            // Ports are other ones there, but for the ingress; where there are none nothing answers.
            (Some(doors), ..) if doors.is_empty() => Vec::new(),
            (Some(_), ..) => vec![Ipv4Addr::LOCALHOST.into()],
            (None, Some(front), Some(_)) => vec![front],
            _ => self.addresses.clone(),
        }
    }
}

/// What a host name of a request leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The service, for messages.
    pub service: String,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Answers for names on an environment's own network, and serves their DNS records.
pub trait Front: Send + Sync + std::fmt::Debug {
    /// Listens at this machine's address in an environment's network; or says why it can't.
    fn open(
        &self,
        environment: Uuid,
        at: IpAddr,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>>;
    /// Stops.
    fn close(&self, environment: Uuid);
    /// The records of an environment: names with their addresses.
    fn publish(&self, environment: Uuid, records: Vec<(String, Vec<IpAddr>)>);
}

/// Every name that leads somewhere.
#[derive(Debug, Default)]
pub struct Names {
    table: RwLock<HashMap<String, Target>>,
    front: OnceLock<Box<dyn Front>>,
    /// Where nobody answers, and why.
    shut: RwLock<HashMap<Uuid, String>>,
}

impl Names {
    /// Says who answers.
    pub fn answered_by(&self, front: Box<dyn Front>) {
        let _ = self.front.set(front);
    }

    fn front(&self) -> Option<&dyn Front> {
        self.front.get().map(AsRef::as_ref)
    }

    /// The address at which names of an environment are answered on HTTP's own port, when that can be.
    pub(crate) async fn open(
        &self,
        environment: Uuid,
        services: &ServicesRecord,
    ) -> Option<IpAddr> {
        let at = IpAddr::V4(services.main_network()?.gateway_v4);
        let opened = self.front()?.open(environment, at).await;
        if let Ok(mut shut) = self.shut.write() {
            match &opened {
                Ok(()) => shut.remove(&environment),
                Err(why) => shut.insert(environment, why.clone()),
            };
        }
        opened.is_ok().then_some(at)
    }

    /// Why names of an environment are not answered on HTTP's own port.
    pub(crate) fn shut(&self, environment: Uuid) -> Option<String> {
        self.shut.read().ok()?.get(&environment).cloned()
    }

    /// Where a request for a host name goes; `port` is the one that the name itself asks for.
    #[must_use]
    pub fn lookup(&self, host: &str, port: Option<u16>) -> Option<Result<Lookup, String>> {
        let table = self.table.read().ok()?;
        let target = table.get(host)?;
        let service = target.service.clone();
        let Some(port) = port.or(target.web) else {
            return Some(Err(format!("the service {service} has no port that speaks HTTP")));
        };
        let Some(address) = target.at(port) else {
            return Some(Err(format!("the service {service} has no address; does it run?")));
        };
        Some(Ok(Lookup { service, address }))
    }

    /// Makes an environment's names lead to what it has now. A name that another environment has stays
    /// with that one. Gives the names that it did not get.
    pub(crate) fn publish(
        &self,
        environment: Uuid,
        names: BTreeMap<String, Target>,
    ) -> Vec<String> {
        let mut refused = Vec::new();
        let mut records = BTreeMap::new();
        if let Ok(mut table) = self.table.write() {
            table.retain(|_, target| target.environment != environment);
            for (name, target) in names {
                if table.contains_key(&name) {
                    refused.push(name);
                    continue;
                }
                if !name.ends_with(".localhost") {
                    records.insert(name.clone(), target.shown());
                }
                table.insert(name, target);
            }
        }
        if let Some(front) = self.front() {
            front.publish(environment, records.into_iter().collect());
        }
        refused
    }

    /// Takes an environment's names away.
    pub(crate) fn withdraw(&self, environment: Uuid) {
        self.publish(environment, BTreeMap::new());
        if let Some(front) = self.front() {
            front.close(environment);
        }
        if let Ok(mut shut) = self.shut.write() {
            shut.remove(&environment);
        }
    }

    /// Whose a name is now.
    pub(crate) fn owner(&self, name: &str) -> Option<Uuid> {
        self.table.read().ok()?.get(name).map(|target| target.environment)
    }

    /// An environment's names with what they lead to.
    pub(crate) fn of(&self, environment: Uuid) -> Vec<(String, Target)> {
        let Ok(table) = self.table.read() else { return Vec::new() };
        let own = table.iter().filter(|(_, target)| target.environment == environment);
        let mut own: Vec<_> = own.map(|(name, target)| (name.clone(), target.clone())).collect();
        own.sort_by(|a, b| (a.0.len(), &a.0).cmp(&(b.0.len(), &b.0)));
        own
    }
}

/// The names of a service, the shortest first.
pub(crate) fn of_service(record: &Record, plan: &ServicePlan, suffix: &str) -> Vec<String> {
    let (project, env) = (record.project.name.as_str(), record.name.as_str());
    let mut names = vec![
        format!("{}.{env}.{suffix}", plan.name),
        format!("{}.{env}.{project}.{suffix}", plan.name),
        format!("{}.{env}.{project}.localhost", plan.name),
    ];
    if plan.ingress {
        names.push(format!("{project}.{env}.{suffix}"));
        names.push(format!("{project}.{env}.localhost"));
    }
    names.extend(plan.hostnames.iter().cloned());
    let added = record.hostnames.iter().filter(|(_, service)| **service == plan.name);
    names.extend(added.map(|(name, _)| name.clone()));
    names.iter_mut().for_each(|name| name.make_ascii_lowercase());
    names
}

/// Everything that an environment's names lead to. `reached` is what the engine says.
pub(crate) fn table(
    record: &Record,
    services: &ServicesRecord,
    suffix: &str,
    front: Option<IpAddr>,
    reached: &Reached,
) -> BTreeMap<String, Target> {
    let mut table = BTreeMap::new();
    for (plan, used) in services.all() {
        let from = plan.via.as_ref().unwrap_or(&plan.name);
        let own = match used {
            Some(used) => used.address.into_iter().collect(),
            None if !plan.addresses.is_empty() => plan.addresses.clone(),
            None => reached.addresses(from),
        };
        for name in of_service(record, plan, suffix) {
            let target = Target {
                environment: record.id,
                service: plan.name.clone(),
                addresses: own.clone(),
                doors: reached.doors(from),
                web: plan.web,
                front,
            };
            table.insert(name, target);
        }
    }
    table
}
