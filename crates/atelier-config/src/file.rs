//! `config.yaml` of the home folder: its shape, and how it is read.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use atelier_api::env::NetworkMode;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use crate::layer::{Layer, parse_address, parse_idle, parse_range, parse_suffix};
use crate::{ConfigError, Consent, LogFormat, Reach, units};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    log: Log,
    listen: Option<Listen>,
    ingress: Option<Ingress>,
    runtime: Option<String>,
    network: Network,
    resources: Limits,
    grants: Option<Vec<String>>,
    idle_stop: Option<Idle>,
    sandboxes: Sandboxes,
    domain: Option<String>,
    tls: Tls,
    ssh: Option<Ingress>,
    images: Images,
    services: Services,
    dns: Dns,
    tools: Tools,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Services {
    engine: Option<String>,
    compose: Option<PathBuf>,
    reach: Option<Reach>,
    subnets: Option<Range>,
    grace: Option<Idle>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Dns {
    suffix: Option<Suffix>,
    listen: Option<Ingress>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Tools {
    consent: Option<Consent>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sandboxes {
    runtime: Option<String>,
    criu: Option<String>,
    from: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Tls {
    listen: Option<Ingress>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Images {
    mirrors: Option<Vec<String>>,
    insecure: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Log {
    level: Option<String>,
    format: Option<LogFormat>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Network {
    mode: Option<NetworkMode>,
    allow: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Limits {
    memory: Option<Size>,
    cpus: Option<Cpus>,
    processes: Option<Count>,
    disk: Option<Size>,
}

/// Declares a value that is written as a number or as text, with the parser of the text.
macro_rules! scalar {
    ($name:ident($inner:ty), $expecting:literal, $parse:expr) => {
        #[derive(Debug)]
        struct $name($inner);
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                scalar_text(deserializer, $expecting)
                    .and_then(|text| $parse(&text).map(Self).map_err(de::Error::custom))
            }
        }
    };
}

scalar!(Size(u64), "a size such as 2GiB", units::parse_size);
scalar!(Cpus(f64), "a number of cores", units::parse_cpus);
scalar!(Count(u64), "a positive whole number", units::parse_count);
scalar!(Idle(Option<Duration>), "a time such as 30m, or never", parse_idle);
scalar!(Range((Ipv4Addr, u8)), "a range such as 10.224.0.0/12", parse_range);
scalar!(Suffix(String), "the end of host names such as test", parse_suffix);
scalar!(Listen(Option<SocketAddr>), "an address such as 127.0.0.1:4700, or none", |t: &str| {
    parse_address(t, "none")
});
scalar!(Ingress(Option<SocketAddr>), "an address such as 127.0.0.1:4780, or off", |t: &str| {
    parse_address(t, "off")
});

/// A scalar as its text, whatever YAML takes it for (`2` is a number, `2g` is not, `off` is
/// neither text nor number for older readers).
fn scalar_text<'de, D: Deserializer<'de>>(
    deserializer: D,
    expecting: &'static str,
) -> Result<String, D::Error> {
    struct Text(&'static str);
    impl Visitor<'_> for Text {
        type Value = String;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
    }
    deserializer.deserialize_str(Text(expecting))
}

/// The layer of the file; an empty one when there is none.
pub(crate) fn load(path: &Path) -> Result<Layer, ConfigError> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&text, path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Layer::default()),
        Err(source) => Err(ConfigError::Read { path: path.to_owned(), source }),
    }
}

fn parse(text: &str, path: &Path) -> Result<Layer, ConfigError> {
    // A file of comments alone is the null document, which is no mapping but no mistake either.
    let file: Option<File> = serde_saphyr::from_str(text).map_err(|error| {
        let location = error.location();
        ConfigError::File {
            path: path.to_owned(),
            line: location.map_or(1, |l| l.line()),
            column: location.map_or(1, |l| l.column()),
            message: message(&error),
        }
    })?;
    let file = file.unwrap_or_default();
    Ok(Layer {
        log_level: file.log.level,
        log_format: file.log.format,
        listen: file.listen.map(|v| v.0),
        ingress: file.ingress.map(|v| v.0),
        runtime: file.runtime,
        network: file.network.mode,
        allow: file.network.allow,
        memory: file.resources.memory.map(|v| v.0),
        cpus: file.resources.cpus.map(|v| v.0),
        processes: file.resources.processes.map(|v| v.0),
        disk: file.resources.disk.map(|v| v.0),
        grants: file.grants,
        idle_stop: file.idle_stop.map(|v| v.0),
        sandbox_runtime: file.sandboxes.runtime,
        criu: file.sandboxes.criu,
        sandbox_from: file.sandboxes.from,
        domain: file.domain,
        tls: file.tls.listen.map(|v| v.0),
        tls_certificate: file.tls.certificate,
        tls_key: file.tls.key,
        ssh: file.ssh.map(|v| v.0),
        mirrors: file.images.mirrors,
        insecure: file.images.insecure,
        engine: file.services.engine,
        compose: file.services.compose,
        reach: file.services.reach,
        subnets: file.services.subnets.map(|v| v.0),
        grace: file.services.grace.map(|v| v.0),
        dns_suffix: file.dns.suffix.map(|v| v.0),
        dns: file.dns.listen.map(|v| v.0),
        consent: file.tools.consent,
    })
}

/// The parser's words without its own place and excerpt, which stand before them already.
fn message(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    line.split(" at line ").next().unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use atelier_api::{ExitCode, Fault};

    use super::*;

    fn parse(text: &str) -> Result<Layer, ConfigError> {
        super::parse(text, Path::new("/h/config.yaml"))
    }

    #[test]
    fn every_key_is_read() {
        let layer = parse(
            "log: {level: debug, format: json}\nlisten: 127.0.0.1:4700\ningress: off\nruntime: host\n\
             network:\n  mode: allowlist\n  allow: [\"example.org:443\"]\n\
             resources: {memory: 2GiB, cpus: 1.5, processes: 100, disk: 1073741824}\n\
             grants: [ssh]\nidle_stop: never\nsandboxes: {runtime: qemu, from: alpine}\n\
             domain: box.example\ntls: {listen: 127.0.0.1:4443, certificate: /c.pem, key: /k.pem}\n\
             ssh: off\nimages: {mirrors: [\"docker.io=http://127.0.0.1:5000\"], insecure: [r.lan]}\n\
             services: {reach: loopback}\ntools: {consent: verified}\n",
        )
        .unwrap();
        assert_eq!(layer.log_level.as_deref(), Some("debug"));
        assert_eq!(layer.log_format, Some(LogFormat::Json));
        assert_eq!(layer.listen, Some(Some("127.0.0.1:4700".parse().unwrap())));
        assert_eq!(layer.ingress, Some(None));
        assert_eq!(layer.network, Some(NetworkMode::Allowlist));
        assert_eq!(layer.memory, Some(2 << 30));
        assert_eq!(layer.cpus, Some(1.5));
        assert_eq!(layer.processes, Some(100));
        assert_eq!(layer.disk, Some(1 << 30));
        assert_eq!(layer.idle_stop, Some(None));
        assert_eq!(layer.sandbox_runtime.as_deref(), Some("qemu"));
        assert_eq!(layer.sandbox_from.as_deref(), Some("alpine"));
        assert_eq!(layer.domain.as_deref(), Some("box.example"));
        assert_eq!(layer.tls, Some(Some("127.0.0.1:4443".parse().unwrap())));
        assert_eq!(layer.tls_certificate, Some("/c.pem".into()));
        assert_eq!(layer.tls_key, Some("/k.pem".into()));
        assert_eq!(layer.ssh, Some(None));
        assert_eq!(layer.mirrors.unwrap(), ["docker.io=http://127.0.0.1:5000"]);
        assert_eq!(layer.insecure.unwrap(), ["r.lan"]);
        assert_eq!(layer.reach, Some(Reach::Loopback));
        assert_eq!(layer.consent, Some(Consent::Verified));
    }

    #[test]
    fn an_empty_file_sets_nothing() {
        for text in ["", "# only words\n", "---\n", "{}\n", "log:\n"] {
            assert!(parse(text).unwrap().log_level.is_none(), "{text:?}");
        }
    }

    #[test]
    fn mistakes_are_shown_with_line_and_column() {
        for (text, place, words) in [
            ("runtime: host\nruntme: host\n", "/h/config.yaml:2:1: ", "runtme"),
            ("resources:\n  memory: lots\n", "/h/config.yaml:2:11: ", "\"lots\" is not a size"),
            ("listen: [1]\n", "/h/config.yaml:1:9: ", ""),
            ("network:\n  mode: some\n", "/h/config.yaml:2:9: ", "allowlist"),
            ("a: b: c\n", "/h/config.yaml:1:", ""),
        ] {
            let error = parse(text).unwrap_err();
            let shown = error.to_string();
            assert!(shown.starts_with(place) && shown.contains(words), "{shown}");
            assert_eq!(shown.lines().count(), 1, "{shown}");
            assert_eq!(error.exit(), ExitCode::InvalidInput);
        }
    }
}
