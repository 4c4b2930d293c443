//! The parts of a plugin, one function each.

use std::collections::BTreeMap;

use atelier_yaml::{Node, Yaml};

use super::{Fields, Reader};
use crate::model::{http, interval, retries, start_period, timeout};
use crate::{
    Ask, Data, Dump, Format, Health, Lifecycle, Maturity, Mcp, Package, Plugin, Port, Restart,
    Sandbox, Service, ServiceKind, Slug, Transport, Variable, Vendor,
};

const ROOT: [&str; 10] = [
    "schema_version",
    "name",
    "description",
    "maturity",
    "service",
    "vendor",
    "ports",
    "env_vars",
    "lifecycle",
    "mcp",
];
const OURS: [&str; 6] = ["data", "packages", "health", "requires", "platforms", "sandbox"];
const LIFECYCLE: [&str; 7] =
    ["install", "uninstall", "start", "stop", "logs", "status", "health_endpoint"];

impl Reader<'_> {
    pub(super) fn root(&mut self, root: &Node, schema_version: String) -> Option<Plugin> {
        let fields = self.map(root, "", &ROOT, &OURS)?;
        let name = self.required(&fields, "name");
        let description = self.required(&fields, "description");
        let maturity = [
            ("ai-generated", Maturity::AiGenerated),
            ("community", Maturity::Community),
            ("verified", Maturity::Verified),
        ];
        let lifecycle = self.lifecycle(&fields);
        let mut plugin = Plugin {
            schema_version,
            name: name.unwrap_or_default(),
            description: description.unwrap_or_default(),
            maturity: self.choice(&fields, "maturity", &maturity).unwrap_or_default(),
            vendor: self.vendor(&fields),
            service: self.service(&fields),
            ports: self.list(&fields, "ports", Self::port),
            env_vars: self.list(&fields, "env_vars", Self::variable),
            health: None,
            mcp: self.mcp(&fields),
            lifecycle,
            data: self.list(&fields, "data", Self::data),
            packages: self.list(&fields, "packages", Self::package),
            requires: self.list(&fields, "requires", Self::required_tool),
            platforms: self.list(&fields, "platforms", Self::platform),
            sandbox: self.sandbox(&fields),
        };
        plugin.health = self.health(&fields, &plugin.lifecycle);
        self.name_makes_a_slug(&fields, &plugin.name);
        Some(plugin)
    }

    fn name_makes_a_slug(&mut self, fields: &Fields<'_>, name: &str) {
        if let (Some(node), Err(error)) = (fields.get("name"), Slug::of_name(name)) {
            self.find(node, "name", error.to_string(), None);
        }
    }

    fn vendor(&mut self, root: &Fields<'_>) -> Option<Vendor> {
        let fields = self.child(root, "vendor", &["name", "url", "docs"], &[])?;
        let name = self.required(&fields, "name");
        let (url, docs) = (self.text(&fields, "url"), self.text(&fields, "docs"));
        Some(Vendor { name: name?, url, docs })
    }

    fn service(&mut self, root: &Fields<'_>) -> Option<Service> {
        let known = ["type", "compose_file", "unit_name"];
        let fields = self.child(root, "service", &known, &["image", "command", "restart"])?;
        let mut kinds = vec![
            ("docker-compose", ServiceKind::DockerCompose),
            ("docker", ServiceKind::Docker),
            ("systemd", ServiceKind::Systemd),
            ("script", ServiceKind::Script),
        ];
        if self.ours {
            kinds.extend([
                ("compose", ServiceKind::DockerCompose),
                ("process", ServiceKind::Process),
            ]);
        }
        let restarts = [
            ("never", Restart::Never),
            ("on-failure", Restart::OnFailure),
            ("always", Restart::Always),
        ];
        let service = Service {
            kind: self.choice(&fields, "type", &kinds).unwrap_or_default(),
            compose_file: self.inside(&fields, "compose_file"),
            unit_name: self.text(&fields, "unit_name"),
            image: self.text(&fields, "image"),
            command: self.texts(&fields, "command"),
            restart: self.choice(&fields, "restart", &restarts).unwrap_or_default(),
        };
        if service.kind == ServiceKind::Process && service.command.is_empty() {
            let message = "a service of type process has a command".to_owned();
            self.find(fields.node(), &fields.path("command"), message, None);
        }
        Some(service)
    }

    fn port(&mut self, node: &Node, at: &str) -> Option<Port> {
        let fields = self.map(node, at, &["port", "name", "protocol", "description"], &[])?;
        if fields.get("port").is_none() {
            self.find(node, &fields.path("port"), "is missing".to_owned(), None);
        }
        let port = self.number(&fields, "port", (1, 65_535));
        Some(Port {
            port: u16::try_from(port?).ok()?,
            name: self.text(&fields, "name"),
            protocol: self.text(&fields, "protocol").unwrap_or_else(http),
            description: self.text(&fields, "description"),
        })
    }

    fn variable(&mut self, node: &Node, at: &str) -> Option<Variable> {
        let known = ["name", "required", "secret", "default", "description"];
        let fields = self.map(node, at, &known, &["choices", "format"])?;
        let formats = [
            ("boolean", Format::Boolean),
            ("integer", Format::Integer),
            ("url", Format::Url),
            ("path", Format::Path),
            ("port", Format::Port),
        ];
        let name = self.required(&fields, "name");
        if let Some(name) = name.as_deref().filter(|name| !is_variable(name)) {
            let message = format!("`{name}` is no name of a variable");
            let hint = "upper-case letters, digits and underscores, no digit first";
            self.find(node, &fields.path("name"), message, Some(hint));
        }
        Some(Variable {
            required: self.flag(&fields, "required").unwrap_or_default(),
            secret: self.flag(&fields, "secret").unwrap_or_default(),
            default: self.text(&fields, "default"),
            description: self.text(&fields, "description"),
            choices: self.texts(&fields, "choices"),
            format: self.choice(&fields, "format", &formats),
            name: name?,
        })
    }

    fn lifecycle(&mut self, root: &Fields<'_>) -> Lifecycle {
        let Some(fields) = self.child(root, "lifecycle", &LIFECYCLE, &["backup", "restore"]) else {
            return Lifecycle::default();
        };
        let lifecycle = Lifecycle {
            install: self.text(&fields, "install"),
            uninstall: self.text(&fields, "uninstall"),
            start: self.text(&fields, "start"),
            stop: self.text(&fields, "stop"),
            logs: self.text(&fields, "logs"),
            status: self.text(&fields, "status"),
            health_endpoint: self.text(&fields, "health_endpoint"),
            backup: self.text(&fields, "backup"),
            restore: self.text(&fields, "restore"),
        };
        if lifecycle.install.is_some() && lifecycle.uninstall.is_none() {
            let message = "is missing, though there is an `install`".to_owned();
            let hint = Some("say how to take back what `install` did");
            self.find(fields.node(), &fields.path("uninstall"), message, hint);
        }
        lifecycle
    }

    fn mcp(&mut self, root: &Fields<'_>) -> Option<Mcp> {
        let known = ["transport", "command", "args", "endpoint", "env", "timeout"];
        let fields = self.child(root, "mcp", &known, &["headers"])?;
        let transports =
            [("stdio", Transport::Stdio), ("sse", Transport::Sse), ("http", Transport::Http)];
        if fields.get("transport").is_none() {
            self.find(fields.node(), "mcp.transport", "is missing".to_owned(), None);
        }
        let transport = self.choice(&fields, "transport", &transports)?;
        let (needed, refused): (&str, &[&str]) = match transport {
            Transport::Stdio => ("command", &["endpoint", "headers"]),
            Transport::Sse | Transport::Http => ("endpoint", &["command", "args"]),
        };
        if fields.get(needed).is_none() {
            let message = "is missing for this transport".to_owned();
            self.find(fields.node(), &fields.path(needed), message, None);
        }
        for name in refused {
            if let Some(node) = fields.get(name) {
                self.find(node, &fields.path(name), "is not for this transport".to_owned(), None);
            }
        }
        let timeout = self.number(&fields, "timeout", (1, i64::from(u32::MAX)));
        Some(Mcp {
            transport,
            command: self.text(&fields, "command"),
            args: self.texts(&fields, "args"),
            endpoint: self.text(&fields, "endpoint"),
            headers: self.headers(&fields),
            env: self.texts(&fields, "env"),
            timeout: timeout.and_then(|t| u64::try_from(t).ok()),
        })
    }

    fn headers(&mut self, mcp: &Fields<'_>) -> BTreeMap<String, String> {
        let Some(node) = mcp.get("headers") else { return BTreeMap::new() };
        let Yaml::Map(entries) = &node.value else {
            self.wrong(node, "mcp.headers", "a mapping");
            return BTreeMap::new();
        };
        let mut headers = BTreeMap::new();
        for (key, value) in entries {
            if let Some(text) = self.text_of(value, &format!("mcp.headers.{}", key.name)) {
                headers.insert(key.name.clone(), text);
            }
        }
        headers
    }

    fn health(&mut self, root: &Fields<'_>, lifecycle: &Lifecycle) -> Option<Health> {
        let known = ["http", "tcp", "command", "interval", "timeout", "retries", "start_period"];
        let Some(fields) = self.child(root, "health", &[], &known) else {
            let endpoint = lifecycle.health_endpoint.clone()?;
            return Some(Health {
                ask: Ask::Http(endpoint),
                interval: interval(),
                timeout: timeout(),
                retries: retries(),
                start_period: start_period(),
            });
        };
        let asks: Vec<_> = [
            self.text(&fields, "http").map(Ask::Http),
            self.text(&fields, "tcp").map(Ask::Tcp),
            self.text(&fields, "command").map(Ask::Command),
        ]
        .into_iter()
        .flatten()
        .collect();
        let [ask] = asks.as_slice() else {
            self.wrong(fields.node(), "health", "one of `http`, `tcp` or `command`");
            return None;
        };
        let tries = self.number(&fields, "retries", (1, 1000));
        Some(Health {
            ask: ask.clone(),
            interval: self.span(&fields, "interval").unwrap_or_else(interval),
            timeout: self.span(&fields, "timeout").unwrap_or_else(timeout),
            retries: tries.and_then(|n| u32::try_from(n).ok()).unwrap_or_else(retries),
            start_period: self.span(&fields, "start_period").unwrap_or_else(start_period),
        })
    }

    fn data(&mut self, node: &Node, at: &str) -> Option<Data> {
        let fields = self.map(node, at, &[], &["path", "volume", "sqlite", "dump"])?;
        if let Some(dump) = self.child(&fields, "dump", &[], &["name", "save", "load"]) {
            let name = self.required(&dump, "name");
            let (save, load) = (self.required(&dump, "save"), self.required(&dump, "load"));
            return Some(Data::Dump(Dump { name: name?, save: save?, load: load? }));
        }
        let found = self.home_path(&fields, "path").map(Data::Path);
        let found = found.or_else(|| self.text(&fields, "volume").map(Data::Volume));
        let found = found.or_else(|| self.home_path(&fields, "sqlite").map(Data::Sqlite));
        if found.is_none() {
            self.wrong(node, at, "one of `path`, `volume`, `sqlite` or `dump`");
        }
        found
    }

    fn package(&mut self, node: &Node, at: &str) -> Option<Package> {
        let fields = self.map(node, at, &[], &["npm", "pypi", "oci"])?;
        let found = self.text(&fields, "npm").map(Package::Npm);
        let found = found.or_else(|| self.text(&fields, "pypi").map(Package::Pypi));
        let found = found.or_else(|| self.text(&fields, "oci").map(Package::Oci));
        if found.is_none() {
            self.wrong(node, at, "one of `npm`, `pypi` or `oci`");
        }
        found
    }

    fn required_tool(&mut self, node: &Node, at: &str) -> Option<String> {
        let text = self.text_of(node, at)?;
        if let Err(error) = text.parse::<Slug>() {
            self.find(node, at, error.to_string(), None);
        }
        Some(text)
    }

    fn platform(&mut self, node: &Node, at: &str) -> Option<String> {
        let text = self.text_of(node, at)?;
        let (system, machine) = text.split_once('/').unwrap_or((&text, "amd64"));
        if !["linux", "darwin"].contains(&system) || !["amd64", "arm64"].contains(&machine) {
            self.wrong(node, at, "`linux` or `darwin`, with `/amd64` or `/arm64` or without");
        }
        Some(text)
    }

    fn sandbox(&mut self, root: &Fields<'_>) -> Option<Sandbox> {
        let fields = self.child(root, "sandbox", &[], &["runtime", "allow"])?;
        let runtime = self.text(&fields, "runtime");
        Some(Sandbox { runtime, allow: self.texts(&fields, "allow") })
    }

    /// A path that stays in the plugin's folder.
    fn inside(&mut self, fields: &Fields<'_>, name: &str) -> Option<String> {
        let text = self.text(fields, name)?;
        self.stays(fields, name, text.clone(), &text)
    }

    /// A path that stays in the plugin's folder, or below `~/`.
    fn home_path(&mut self, fields: &Fields<'_>, name: &str) -> Option<String> {
        let text = self.text(fields, name)?;
        let below = text.strip_prefix("~/").unwrap_or(&text).to_owned();
        self.stays(fields, name, text, &below)
    }

    fn stays(
        &mut self,
        fields: &Fields<'_>,
        name: &str,
        text: String,
        below: &str,
    ) -> Option<String> {
        use std::path::{Component, Path};
        let normal = |c| matches!(c, Component::Normal(_) | Component::CurDir);
        if below.is_empty() || !Path::new(below).components().all(normal) {
            let node = fields.get(name).unwrap_or(fields.node());
            let message = format!("`{text}` leads out of the plugin's folder");
            self.find(node, &fields.path(name), message, None);
        }
        Some(text)
    }
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}
