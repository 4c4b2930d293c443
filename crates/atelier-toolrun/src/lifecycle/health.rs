//! Whether a service is well: asked over HTTP or TCP, by a command, or by its container engine.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use atelier_plugin::{Ask, Health};

use super::environment::Environment;
use super::error::{Error, Result};
use super::spawn::Line;
use super::tool::{Manner, Step, Tool};
use crate::secrets::{Masker, Variables, substitute};

/// Everything that a question needs.
pub(crate) struct Asker<'a> {
    pub tool: &'a Tool,
    pub variables: &'a Variables,
    pub environment: &'a Environment,
    pub masker: &'a Masker,
    /// Where a command's output goes.
    pub log: PathBuf,
}

impl Asker<'_> {
    /// Asks once.
    pub(crate) fn ask(&self, health: &Health) -> std::result::Result<(), String> {
        let lookup = |name: &str| self.variables.get(name).map(|text| text.expose().to_owned());
        match &health.ask {
            Ask::Http(url) => http(&substitute(url, lookup), health.timeout),
            Ask::Tcp(address) => tcp(&substitute(address, lookup), health.timeout).map(drop),
            Ask::Command(line) => {
                let line = Line {
                    line,
                    folder: &self.tool.folder,
                    environment: self.environment,
                    log: &self.log,
                    masker: self.masker,
                    timeout: Some(health.timeout),
                };
                match line.run(&mut |_| {}) {
                    Ok(ran) if ran.code == 0 => Ok(()),
                    Ok(ran) => {
                        Err(format!("`{}` ended with {}: {}", line.line, ran.code, ran.said))
                    }
                    Err(error) => Err(error.to_string()),
                }
            }
        }
        .map_err(|why| self.masker.text(&why))
    }

    /// Asks until it is well. `ended` tells its code when it does not run any more.
    pub(crate) fn wait(
        &self,
        health: &Health,
        manner: &Manner<'_>,
        said: &dyn Fn() -> String,
        ended: &dyn Fn() -> Option<i32>,
    ) -> Result<()> {
        let begun = Instant::now();
        let (mut tries, mut failures) = (0, 0);
        loop {
            tries += 1;
            let Err(why) = self.ask(health) else { return Ok(()) };
            let slug = self.tool.slug.to_string();
            if let Some(code) = ended() {
                return Err(Error::Ended { slug, code, said: said() });
            }
            failures += u32::from(begun.elapsed() >= health.start_period);
            if failures >= health.retries.max(1) {
                return Err(Error::Unhealthy { slug, tries, why, said: said() });
            }
            manner.tell(&self.tool.slug, Step::Waits, Some(&why));
            std::thread::sleep(health.interval);
        }
    }
}

/// A connection to `host:port`.
fn tcp(address: &str, timeout: Duration) -> std::result::Result<TcpStream, String> {
    let address = address.strip_prefix("tcp://").unwrap_or(address);
    let failed = |why: &dyn std::fmt::Display| format!("{address}: {why}");
    let all = address.to_socket_addrs().map_err(|error| failed(&error))?;
    let mut last = failed(&"it has no address");
    for one in all {
        match TcpStream::connect_timeout(&one, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = failed(&error),
        }
    }
    Err(last)
}

/// A status below 400. Of `https` only the connection is looked at: local services have certificates that
/// nobody else trusts.
fn http(url: &str, timeout: Duration) -> std::result::Result<(), String> {
    let (secure, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => return Err(format!("{url}: neither http:// nor https://")),
    };
    let cut = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(cut);
    let host = authority.rsplit('@').next().unwrap_or_default();
    let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
    let address = match has_port {
        true => host.to_owned(),
        false => format!("{host}:{}", if secure { 443 } else { 80 }),
    };
    let mut stream = tcp(&address, timeout)?;
    if secure {
        return Ok(());
    }
    let path = path.split('#').next().unwrap_or_default();
    let slash = if path.starts_with('/') { "" } else { "/" };
    let request = format!(
        "GET {slash}{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: atelier\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    let mut line = String::new();
    let mut exchange = || -> std::io::Result<()> {
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.write_all(request.as_bytes())?;
        BufReader::new(&stream).read_line(&mut line).map(drop)
    };
    exchange().map_err(|error| format!("{url}: {error}"))?;
    let status = line.split_whitespace().nth(1).and_then(|code| code.parse::<u16>().ok());
    match status.filter(|_| line.starts_with("HTTP/")) {
        Some(100..400) => Ok(()),
        Some(code) => Err(format!("{url} answers {code}")),
        None => Err(format!("{url} does not answer in HTTP")),
    }
}
