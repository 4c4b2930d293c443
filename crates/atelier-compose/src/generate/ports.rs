//! What a service listens on, and which of it speaks HTTP.

use serde_json::{Map, Value, json};

use super::labels::{label, no_web};
use crate::error::{ComposeError, Result};
use crate::plan::{Port, ServicePlan};

/// Where development servers and web servers listen, the likeliest first.
const WEB: [u16; 18] = [
    80, 8080, 3000, 8000, 5173, 4200, 5000, 8888, 4000, 3001, 8081, 5174, 4321, 1313, 9000, 8001,
    8090, 8008,
];
/// What is known to speak something else: databases, brokers, mail, TLS, SSH.
const NOT_WEB: [u16; 44] = [
    21, 22, 23, 25, 53, 110, 111, 139, 143, 389, 443, 445, 465, 587, 636, 993, 995, 1025, 1433,
    1521, 1883, 2049, 2181, 2379, 2380, 3306, 4222, 5432, 5433, 5671, 5672, 6379, 6380, 7000, 7687,
    8443, 8883, 9042, 9092, 9093, 11211, 26257, 27017, 33060,
];
/// A range of ports longer than this is listed by its first ones.
const MOST: usize = 64;

/// The ports that a service's definition names, its published ones first.
pub(crate) fn of(service: &Value) -> Vec<Port> {
    let mut ports: Vec<Port> = Vec::new();
    let list = |key: &str| service.get(key).and_then(Value::as_array).into_iter().flatten();
    let published = list("ports").filter_map(|p| {
        let port = p.get("target")?.as_u64().and_then(|p| u16::try_from(p).ok())?;
        let protocol = p.get("protocol").and_then(Value::as_str).unwrap_or("tcp").to_owned();
        Some(Port { port, protocol })
    });
    ports.extend(published);
    for text in list("expose").filter_map(|e| e.as_str().map(str::to_owned).or_else(|| number(e))) {
        ports.extend(exposed(&text));
    }
    let mut seen = std::collections::BTreeSet::new();
    ports.retain(|p| seen.insert(p.clone()));
    ports
}

fn number(value: &Value) -> Option<String> {
    value.as_u64().map(|n| n.to_string())
}

/// `90`, `90/udp`, `8000-8010`.
fn exposed(text: &str) -> Vec<Port> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else {
        return Vec::new();
    };
    let port = |port| Port { port, protocol: protocol.to_owned() };
    (first..=last).take(MOST).map(port).collect()
}

/// The port that speaks HTTP, by the label or by what is known about port numbers.
///
/// # Errors
/// `Invalid` when the label is no port.
pub(crate) fn web(name: &str, service: &Value, ports: &[Port]) -> Result<Option<u16>> {
    if no_web(service) {
        return Ok(None);
    }
    if let Some(given) = label(service, &["atelier.ingress.port", "cilo.ingress.port"]) {
        return match given.trim().parse::<u16>() {
            Ok(port) if port > 0 => Ok(Some(port)),
            _ => Err(ComposeError::invalid(format!(
                "the label atelier.ingress.port of service {name:?} is {given:?}, which is no port"
            ))),
        };
    }
    let tcp: Vec<u16> = ports.iter().filter(|p| p.protocol == "tcp").map(|p| p.port).collect();
    let likely = WEB.iter().find(|p| tcp.contains(p));
    Ok(likely.or_else(|| tcp.iter().find(|p| !NOT_WEB.contains(p))).copied())
}

/// Takes the published ports away, or keeps them at a host port that the engine chooses.
pub(crate) fn unpublish(service: &mut Value, publish: bool) {
    let Some(map) = service.as_object_mut() else { return };
    let Some(Value::Array(ports)) = map.remove("ports") else { return };
    let kept: Vec<Value> = ports
        .iter()
        .filter_map(|p| {
            let protocol = p.get("protocol").cloned().unwrap_or_else(|| "tcp".into());
            Some(on_loopback(p.get("target")?, &protocol))
        })
        .collect();
    if publish && !kept.is_empty() {
        map.insert("ports".to_owned(), kept.into());
    }
}

/// Published on 127.0.0.1, at a port that the engine chooses.
fn on_loopback(target: &Value, protocol: &Value) -> Value {
    json!({"mode": "ingress", "target": target, "protocol": protocol, "host_ip": "127.0.0.1"})
}

/// Publishes every TCP port that services listen on. Those of a service inside another one's network are
/// published there, since that one has the network.
pub(crate) fn publish_all(services: &mut Map<String, Value>, plans: &[ServicePlan]) {
    for plan in plans {
        let owner = plan.via.as_ref().unwrap_or(&plan.name);
        let Some(service) = services.get_mut(owner).and_then(Value::as_object_mut) else {
            continue;
        };
        if service.get("network_mode").is_some_and(Value::is_string) {
            continue;
        }
        let tcp = plan.ports.iter().filter(|port| port.protocol == "tcp").map(|port| port.port);
        for port in tcp.chain(plan.web) {
            let entry = on_loopback(&json!(port), &json!("tcp"));
            let ports = service.entry("ports").or_insert_with(|| json!([]));
            if let Some(ports) = ports.as_array_mut().filter(|ports| !ports.contains(&entry)) {
                ports.push(entry);
            }
        }
    }
}
