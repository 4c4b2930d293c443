//! Where a container is reached: networks, ports, hosts.

use std::collections::HashMap;

use bollard_stubs::models::{EndpointIpamConfig, EndpointSettings, PortBinding, PortMap};
use serde_json::Value;

use super::Top;
use super::service::{Service, scalar};
use crate::error::Result;

/// Keys of one network of a service.
const KEYS: [&str; 5] = ["aliases", "ipv4_address", "ipv6_address", "link_local_ips", "priority"];

/// The networks by their names on the engine, those of a higher priority first.
pub(super) fn networks(
    service: &Service<'_>,
    top: &Top<'_>,
) -> Result<Vec<(String, EndpointSettings)>> {
    let mut all = Vec::new();
    for (key, how) in service.get("networks").and_then(Value::as_object).into_iter().flatten() {
        service.only(&format!("networks.{key}"), how, &KEYS)?;
        let priority = how.get("priority").and_then(Value::as_i64).unwrap_or(0);
        all.push((-priority, key, endpoint(service, how)));
    }
    all.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    Ok(all.into_iter().map(|(_, key, end)| (top.named("networks", key), end)).collect())
}

fn endpoint(service: &Service<'_>, how: &Value) -> EndpointSettings {
    let text = |key: &str| how.get(key).and_then(Value::as_str).map(str::to_owned);
    let list = |key: &str| -> Vec<String> {
        let list = how.get(key).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut aliases = vec![service.name.to_owned()];
    aliases.extend(list("aliases").into_iter().filter(|a| a != service.name));
    let (v4, v6, local) = (text("ipv4_address"), text("ipv6_address"), list("link_local_ips"));
    let fixed = v4.is_some() || v6.is_some() || !local.is_empty();
    EndpointSettings {
        aliases: Some(aliases),
        ipam_config: fixed.then_some(EndpointIpamConfig {
            ipv4_address: v4,
            ipv6_address: v6,
            link_local_ips: (!local.is_empty()).then_some(local),
        }),
        ..EndpointSettings::default()
    }
}

/// The first network, or what stands in its place.
pub(super) fn mode(
    service: &Service<'_>,
    networks: &[(String, EndpointSettings)],
) -> Result<Option<String>> {
    Ok(match service.owned("network_mode")? {
        Some(mode) => Some(mode),
        None => Some(networks.first().map_or_else(|| "none".to_owned(), |(name, _)| name.clone())),
    })
}

/// What is exposed, and what of it is published.
pub(super) fn ports(service: &Service<'_>) -> Result<(Option<Vec<String>>, Option<PortMap>)> {
    let mut exposed = Vec::new();
    for entry in service.get("expose").and_then(Value::as_array).into_iter().flatten() {
        let text = scalar(entry).ok_or_else(|| service.refuse("expose", "it is no port"))?;
        let (range, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number =
            |t: &str| t.parse::<u16>().map_err(|_| service.refuse("expose", "it is no port"));
        let ports = number(first)?..=number(last)?;
        exposed.extend(ports.map(|port| format!("{port}/{protocol}")));
    }
    let mut bindings: PortMap = HashMap::new();
    for entry in service.get("ports").and_then(Value::as_array).into_iter().flatten() {
        let target = entry.get("target").and_then(Value::as_u64);
        let target = target.ok_or_else(|| service.refuse("ports", "one has no target"))?;
        let protocol = entry.get("protocol").and_then(Value::as_str).unwrap_or("tcp");
        let port = format!("{target}/{protocol}");
        let binding = PortBinding {
            host_ip: entry.get("host_ip").and_then(Value::as_str).map(str::to_owned),
            host_port: Some(entry.get("published").and_then(scalar).unwrap_or_default()),
        };
        exposed.push(port.clone());
        bindings.entry(port).or_default().get_or_insert_default().push(binding);
    }
    exposed.sort();
    exposed.dedup();
    Ok(((!exposed.is_empty()).then_some(exposed), (!bindings.is_empty()).then_some(bindings)))
}

/// `name:address`, as engines read it.
pub(super) fn hosts(service: &Service<'_>) -> Result<Option<Vec<String>>> {
    if let Some(Value::Object(hosts)) = service.get("extra_hosts") {
        let each = hosts.iter().flat_map(|(host, addresses)| {
            let all = addresses.as_array().cloned().unwrap_or_else(|| vec![addresses.clone()]);
            all.into_iter().filter_map(move |a| Some(format!("{host}:{}", scalar(&a)?)))
        });
        return Ok(Some(each.collect()));
    }
    let written = |text: String| match text.split_once('=') {
        Some((host, address)) => format!("{host}:{address}"),
        None => text,
    };
    Ok(service.texts("extra_hosts")?.map(|all| all.into_iter().map(written).collect()))
}
