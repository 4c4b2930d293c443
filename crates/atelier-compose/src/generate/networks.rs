//! The environment's networks, and which address each service has on them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::service::replicas;
use crate::error::{ComposeError, Result};
use crate::model::Model;
use crate::plan::NetworkPlan;
use crate::scope::Scope;

/// The main network's key; what services are on that say nothing.
pub(crate) const MAIN: &str = "default";
/// Its key when the project has an external one of that name.
const OTHER_MAIN: &str = "atelier-main";
/// Further networks, each a sixteenth of the scope's subnet.
const FURTHER: u32 = 8;
/// The first addresses of the main network are for whoever else is on it, such as a sandbox.
const FIRST_ON_MAIN: u64 = 10;
/// Behind the network's own address and the gateway's.
const FIRST: u64 = 2;

/// The networks of a project: those that are made, and those that are there already.
pub(crate) struct Networks {
    own: Vec<NetworkPlan>,
    external: BTreeMap<String, String>,
}

impl Networks {
    /// Ours of that key.
    pub(crate) fn own(&self, key: &str) -> Option<&NetworkPlan> {
        self.own.iter().find(|n| n.key == key)
    }

    pub(crate) fn plans(self) -> Vec<NetworkPlan> {
        self.own
    }

    /// As the file names them: Compose makes none of them.
    pub(crate) fn section(&self) -> Value {
        let own = self.own.iter().map(|n| (&n.key, &n.name));
        let all = own.chain(&self.external);
        all.map(|(key, name)| (key.clone(), json!({"name": name, "external": true})))
            .collect::<Map<_, _>>()
            .into()
    }
}

/// Which networks there are to be, each with its part of the scope's subnets.
pub(crate) fn plan(model: &Model, scope: &Scope, notes: &mut Vec<String>) -> Result<Networks> {
    let mut networks = Networks { own: Vec::new(), external: BTreeMap::new() };
    let section = model.section("networks");
    for (key, network) in section.iter().filter(|(_, n)| external(n)) {
        let name = network.get("name").and_then(Value::as_str).unwrap_or(key);
        notes.push(format!(
            "network {key} is the external {name}: all environments share it, and its services \
             have no addresses of their own there"
        ));
        networks.external.insert(key.clone(), name.to_owned());
    }
    let main = if networks.external.contains_key(MAIN) { OTHER_MAIN } else { MAIN };
    let mut further: Vec<&String> =
        section.keys().filter(|k| !networks.external.contains_key(*k) && *k != main).collect();
    further.sort();
    let null = Value::Null;
    networks.own.push(own(main, section.get(main).unwrap_or(&null), scope, None, notes)?);
    for (index, key) in (0..).zip(further) {
        networks.own.push(own(key, &section[key], scope, Some(index), notes)?);
    }
    Ok(networks)
}

fn external(network: &Value) -> bool {
    match network.get("external") {
        Some(Value::Bool(external)) => *external,
        Some(Value::Object(_)) => true,
        _ => false,
    }
}

fn own(
    key: &str,
    given: &Value,
    scope: &Scope,
    further: Option<u32>,
    notes: &mut Vec<String>,
) -> Result<NetworkPlan> {
    let room = |what: String| ComposeError::NoRoom {
        subnet: scope.subnet_v4.to_string(),
        what,
        room: FURTHER as usize,
    };
    if further.is_some_and(|i| i >= FURTHER) {
        return Err(room(format!("network {key} beside the main one and {FURTHER} others")));
    }
    let (more, index) = further.map_or((1, 0), |i| (4, FURTHER + i));
    let small = || room(format!("the addresses of network {key}"));
    let subnet_v4 = scope.subnet_v4.part(more, index).ok_or_else(small)?;
    let subnet_v6 = scope.subnet_v6.map(|s| s.part(more, index).ok_or_else(small)).transpose()?;
    changed(key, given, notes);
    Ok(NetworkPlan {
        key: key.to_owned(),
        name: scope.named(key),
        subnet_v4,
        range_v4: subnet_v4.part(1, 1).ok_or_else(small)?,
        gateway_v4: subnet_v4.host(1).ok_or_else(small)?,
        subnet_v6,
        range_v6: subnet_v6.map(|s| s.part(1, 1).ok_or_else(small)).transpose()?,
        gateway_v6: subnet_v6.map(|s| s.host(1).ok_or_else(small)).transpose()?,
        internal: given.get("internal").and_then(Value::as_bool).unwrap_or(false),
        driver_opts: options(key, given, notes),
        labels: labels(given, scope),
    })
}

/// What of a network's definition does not come along.
fn changed(key: &str, given: &Value, notes: &mut Vec<String>) {
    if let Some(driver) = given.get("driver").and_then(Value::as_str)
        && driver != "bridge"
    {
        notes.push(format!("network {key} has the driver {driver}: here it is a bridge"));
    }
    let ipam = given.get("ipam").and_then(|i| i.get("config")).and_then(Value::as_array);
    if ipam.is_some_and(|c| !c.is_empty()) {
        notes.push(format!("network {key} has a subnet of its own: here it is the environment's"));
    }
}

fn options(key: &str, given: &Value, notes: &mut Vec<String>) -> BTreeMap<String, String> {
    let bridge = given.get("driver").and_then(Value::as_str).is_none_or(|d| d == "bridge");
    let Some(options) = given.get("driver_opts").and_then(Value::as_object).filter(|_| bridge)
    else {
        return BTreeMap::new();
    };
    let mut kept = super::labels::texts(options);
    if kept.remove("com.docker.network.bridge.name").is_some() {
        notes.push(format!("network {key} names its bridge: two environments can't have it"));
    }
    kept
}

pub(crate) fn labels(given: &Value, scope: &Scope) -> BTreeMap<String, String> {
    let own = given.get("labels").and_then(Value::as_object).map(super::labels::texts);
    let mut labels = own.unwrap_or_default();
    labels.extend(scope.labels.clone());
    labels
}

/// Gives every service of one container a static address on each network of ours.
pub(crate) fn attach(
    services: &mut Map<String, Value>,
    networks: &mut Networks,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<String, Vec<IpAddr>>> {
    let mut addresses: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    let mut names: Vec<String> = services.keys().cloned().collect();
    names.sort();
    for name in &names {
        clear(name, &mut services[name], networks, notes);
    }
    for index in 0..networks.own.len() {
        let key = networks.own[index].key.clone();
        let here: Vec<&String> = names
            .iter()
            .filter(|n| is_on(&services[*n], &key) && replicas(&services[*n]) == 1)
            .collect();
        let first = if index == 0 { FIRST_ON_MAIN } else { FIRST };
        make_room(&mut networks.own[index], first, here.len())?;
        for (offset, name) in (first..).zip(here) {
            let given = put(&mut services[name], &networks.own[index], offset);
            addresses.entry(name.clone()).or_default().extend(given);
        }
    }
    Ok(addresses)
}

fn is_on(service: &Value, key: &str) -> bool {
    service.get("networks").and_then(Value::as_object).is_some_and(|n| n.contains_key(key))
}

/// Takes the project's own static addresses away: they are of no network of ours, and on an
/// external one two environments can't both have them.
fn clear(name: &str, service: &mut Value, networks: &Networks, notes: &mut Vec<String>) {
    let Some(map) = service.get_mut("networks").and_then(Value::as_object_mut) else { return };
    for (key, network) in map {
        let Some(network) = network.as_object_mut() else { continue };
        let had = ["ipv4_address", "ipv6_address"].map(|k| network.remove(k).is_some());
        if had.contains(&true) {
            let whose = if networks.own(key).is_some() { "the environment's" } else { "any" };
            notes.push(format!(
                "service {name} has a fixed address on network {key}: here it gets {whose}"
            ));
        }
    }
}

/// Half of a network is for addresses that the engine chooses; a quarter when it is crowded.
fn make_room(network: &mut NetworkPlan, first: u64, services: usize) -> Result<()> {
    let size = 1_u64 << (32 - u32::from(network.subnet_v4.length()));
    let half = (size / 2).saturating_sub(first);
    if services as u64 <= half {
        return Ok(());
    }
    let most = (size / 4 * 3).saturating_sub(first);
    let full = || ComposeError::NoRoom {
        subnet: network.subnet_v4.to_string(),
        what: format!("{services} services on network {}", network.key),
        room: usize::try_from(most).unwrap_or(usize::MAX),
    };
    if services as u64 > most {
        return Err(full());
    }
    network.range_v4 = network.subnet_v4.part(2, 3).ok_or_else(full)?;
    network.range_v6 = network.subnet_v6.map(|s| s.part(2, 3).ok_or_else(full)).transpose()?;
    Ok(())
}

fn put(service: &mut Value, network: &NetworkPlan, offset: u64) -> Vec<IpAddr> {
    let v4 = network.subnet_v4.host(offset).map(IpAddr::V4);
    let v6 = network.subnet_v6.and_then(|s| s.host(offset)).map(IpAddr::V6);
    if let Some(map) = service.get_mut("networks").and_then(|n| super::map_in(n, &network.key)) {
        for (key, address) in [("ipv4_address", v4), ("ipv6_address", v6)] {
            if let Some(address) = address {
                map.insert(key.to_owned(), address.to_string().into());
            }
        }
    }
    v4.into_iter().chain(v6).collect()
}
