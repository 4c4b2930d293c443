//! Ports in their short form, `[HOST:][PUBLISHED:]TARGET[/PROTOCOL]` with ranges.

use serde_json::{Map, Value, json};

use super::at::At;
use super::yaml::{Node, Yaml};
use crate::error::Result;

/// One entry of `ports:`, as the ports that it means.
pub(crate) fn read(at: &At<'_>, node: &Node) -> Result<Vec<Value>> {
    match &node.value {
        Yaml::Int(port) => short(at, &port.to_string()),
        Yaml::Text(text) => short(at, text),
        Yaml::Map(_) => long(at, node).map(|port| vec![port]),
        _ => Err(at.invalid("must be a port")),
    }
}

fn short(at: &At<'_>, text: &str) -> Result<Vec<Value>> {
    let wrong = || at.invalid(format!("{text:?} is no port"));
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if !["tcp", "udp"].contains(&protocol) {
        return Err(at.unsupported("a protocol other than tcp and udp"));
    }
    let parts: Vec<&str> = ports.split(':').collect();
    let (host, published, target) = match parts[..] {
        [target] => (None, None, target),
        [published, target] => (None, Some(published), target),
        [host, published, target] => (Some(host), Some(published), target),
        _ => return Err(at.unsupported("an IPv6 address in a port's short form")),
    };
    if let Some(host) = host
        && host.parse::<std::net::Ipv4Addr>().is_err()
    {
        return Err(wrong());
    }
    let (first, last) = range(target).ok_or_else(wrong)?;
    let published = match published {
        None | Some("") => None,
        Some(text) => Some(range(text).ok_or_else(wrong)?),
    };
    if let Some((from, to)) = published
        && to - from != last - first
    {
        return Err(at.unsupported("a range of published ports for one port"));
    }
    Ok((first..=last)
        .map(|target| {
            let published = published.map(|(from, _)| (from + (target - first)).to_string());
            port(target, published, protocol, host)
        })
        .collect())
}

fn range(text: &str) -> Option<(u16, u16)> {
    let number =
        |t: &str| t.parse::<u16>().ok().filter(|p| *p > 0 && t.bytes().all(|b| b.is_ascii_digit()));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some((number(first)?, number(last)?)).filter(|(first, last)| first <= last)
}

fn port(target: u16, published: Option<String>, protocol: &str, host: Option<&str>) -> Value {
    let mut port = Map::new();
    port.insert("mode".to_owned(), json!("ingress"));
    port.extend(host.map(|h| ("host_ip".to_owned(), json!(h))));
    port.insert("target".to_owned(), json!(target));
    port.extend(published.map(|p| ("published".to_owned(), json!(p))));
    port.insert("protocol".to_owned(), json!(protocol));
    port.into()
}

fn long(at: &At<'_>, node: &Node) -> Result<Value> {
    let mut out = Map::new();
    out.insert("mode".to_owned(), json!("ingress"));
    out.insert("protocol".to_owned(), json!("tcp"));
    for (key, value) in at.map(node)? {
        let at = at.down(&key.name, key.place);
        let new = match key.name.as_str() {
            "target" => {
                let port = at.count(value)?;
                if !(1..=65535).contains(&port) {
                    return Err(at.invalid("is no port"));
                }
                json!(port)
            }
            "published" => {
                let text = at.scalar(value)?;
                range(&text).ok_or_else(|| at.unsupported("a published port that is no number"))?;
                json!(text)
            }
            "protocol" => match at.text(value)? {
                known @ ("tcp" | "udp") => json!(known),
                _ => return Err(at.unsupported("a protocol other than tcp and udp")),
            },
            "mode" => match at.text(value)? {
                known @ ("ingress" | "host") => json!(known),
                _ => return Err(at.unsupported("another mode")),
            },
            "host_ip" | "name" | "app_protocol" => json!(at.text(value)?),
            _ => return Err(at.unknown()),
        };
        out.insert(key.name.clone(), new);
    }
    if !out.contains_key("target") {
        return Err(at.unsupported("a port without `target`"));
    }
    Ok(out.into())
}
