//! What each resolver is told, and in which file.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::detect::{self, RESOLV_CONF, ResolvConf};
use super::plan::View;
use super::{System, Way};
use crate::error::{Error, Result};

/// The port that `resolv.conf` can't but mean.
const DNS_PORT: u16 = 53;
/// systemd-resolved takes ports with addresses from this version on.
const RESOLVED_PORTS: u32 = 246;
/// systemd-resolved takes servers for some domains only, from files, from this version on.
const RESOLVED_DELEGATES: u32 = 258;
/// The first line of each of our files.
const HEAD: &str = "# Written by Atelier; `atelier dns remove` takes it back.\n";

/// What a way comes down to.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) files: Vec<(PathBuf, String)>,
    pub(super) commands: Vec<Vec<String>>,
    pub(super) forward: Vec<SocketAddr>,
    pub(super) notes: Vec<String>,
}

pub(super) fn draft(way: Way, system: &System, view: &View, domains: &[String]) -> Result<Draft> {
    match way {
        Way::Resolved => resolved(system, domains),
        Way::NetworkManager => network_manager(system, view, domains),
        Way::ResolvConf => resolv_conf(system, view),
        Way::MacOs => Ok(mac_os(system.server, domains)),
    }
}

fn resolved(system: &System, domains: &[String]) -> Result<Draft> {
    let version = detect::systemd_version(system);
    let server = system.server;
    if version.is_some_and(|v| v < RESOLVED_PORTS) && server.port() != DNS_PORT {
        return Err(Error::NoWay {
            why: format!(
                "systemd-resolved older than {RESOLVED_PORTS} asks port {DNS_PORT} only, not {}",
                server.port()
            ),
            hint: Some(format!("let the server listen on port {DNS_PORT} of a loopback address")),
        });
    }
    let written =
        if server.port() == DNS_PORT { server.ip().to_string() } else { server.to_string() };
    // With `~` a domain says where names go, and is not tried as an ending of short names.
    let routes: Vec<String> = domains.iter().map(|domain| format!("~{domain}")).collect();
    let settings = format!("DNS={written}\nDomains={}\n", routes.join(" "));
    let mut draft = Draft {
        commands: vec![words("systemctl reload-or-restart systemd-resolved")],
        ..Draft::default()
    };
    let (path, section) = if version.is_some_and(|v| v >= RESOLVED_DELEGATES) {
        ("/etc/systemd/dns-delegate.d/atelier.dns-delegate", "Delegate")
    } else {
        draft.notes.push(
            "this version of systemd-resolved may also ask our server for names that are not ours; \
             it refuses those, and the answers of the others count"
                .to_owned(),
        );
        ("/etc/systemd/resolved.conf.d/50-atelier.conf", "Resolve")
    };
    draft.files.push((path.into(), format!("{HEAD}[{section}]\n{settings}")));
    Ok(draft)
}

fn network_manager(system: &System, view: &View, domains: &[String]) -> Result<Draft> {
    let server = system.server;
    if server.ip().is_loopback() && server.ip().is_ipv4() && server.port() == DNS_PORT {
        return Err(Error::NoWay {
            why: format!("NetworkManager's dnsmasq needs {server} itself"),
            hint: Some("let the server listen on another port, such as 5354".to_owned()),
        });
    }
    let mut draft = Draft { commands: vec![words("nmcli general reload")], ..Draft::default() };
    if !detect::has_dnsmasq(view) {
        draft.notes.push("dnsmasq is needed and not there (`apt install dnsmasq-base`)".to_owned());
    }
    let rules: Vec<String> = domains
        .iter()
        .map(|domain| format!("server=/{domain}/{}#{}\n", server.ip(), server.port()))
        .collect();
    draft.files.push((
        "/etc/NetworkManager/conf.d/90-atelier.conf".into(),
        format!("{HEAD}[main]\ndns=dnsmasq\n"),
    ));
    draft.files.push((
        "/etc/NetworkManager/dnsmasq.d/atelier.conf".into(),
        format!("{HEAD}{}", rules.concat()),
    ));
    Ok(draft)
}

fn resolv_conf(system: &System, view: &View) -> Result<Draft> {
    let server = system.server;
    if server.port() != DNS_PORT {
        return Err(Error::NoWay {
            why: format!(
                "{RESOLV_CONF} names servers on port {DNS_PORT} only, not {}",
                server.port()
            ),
            hint: Some(format!(
                "let the server listen on 127.0.0.1:{DNS_PORT}, as root or with CAP_NET_BIND_SERVICE"
            )),
        });
    }
    let conf = ResolvConf::read(view);
    let text = conf.text.clone().unwrap_or_default();
    let mut draft = Draft::default();
    for written in conf.servers() {
        match written.parse::<IpAddr>() {
            Ok(ip) if ip == server.ip() => {}
            Ok(ip) => draft.forward.push((ip, DNS_PORT).into()),
            Err(_) => draft.notes.push(format!("questions are not forwarded to {written}")),
        }
    }
    if draft.forward.is_empty() {
        return Err(Error::NoWay {
            why: format!("{RESOLV_CONF} names no server that other questions could go to"),
            hint: Some(format!("write `nameserver ADDRESS` into {RESOLV_CONF}")),
        });
    }
    if conf.is_generated() {
        draft.notes.push(format!(
            "{} is written anew when networks change, and the hook is lost then; \
             `atelier dns status` tells",
            conf.path.display()
        ));
    }
    if conf.is_of_network_manager() {
        draft.notes.push("with dnsmasq (`apt install dnsmasq-base`) it would last".to_owned());
    }
    draft.notes.push("while our server does not run, no name is found".to_owned());
    let rest = text.lines().filter(|line| line.split_whitespace().next() != Some("nameserver"));
    let rest: String = rest.flat_map(|line| [line, "\n"]).collect();
    draft.files.push((conf.path, format!("{HEAD}nameserver {}\n{rest}", server.ip())));
    Ok(draft)
}

fn mac_os(server: SocketAddr, domains: &[String]) -> Draft {
    let text = format!("{HEAD}nameserver {}\nport {}\n", server.ip(), server.port());
    let file = |domain: &String| (PathBuf::from(format!("/etc/resolver/{domain}")), text.clone());
    Draft { files: domains.iter().map(file).collect(), ..Draft::default() }
}

fn words(command: &str) -> Vec<String> {
    command.split(' ').map(str::to_owned).collect()
}
