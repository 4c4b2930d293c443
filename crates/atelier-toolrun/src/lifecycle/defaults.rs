//! The command lines of a tool's life: the plugin's own, and where it gives none, what its kind of
//! service usually needs.

use super::environment::Environment;
use super::spawn;
use super::tool::{Kind, Tool};

/// A command of a tool's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Brings there what it needs.
    Install,
    /// Takes that away.
    Uninstall,
    /// Starts the service.
    Start,
    /// Stops it.
    Stop,
    /// Whether it runs.
    Status,
}

impl Verb {
    /// As a word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Uninstall => "uninstall",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Status => "status",
        }
    }
}

/// The label of our containers: the tool.
pub(crate) const LABEL: &str = "io.atelier.tool";

/// The plugin's command, or the default of its kind. `None`: nothing has to be run, or Atelier does it
/// itself.
pub(crate) fn line(tool: &Tool, verb: Verb, environment: &Environment) -> Option<String> {
    let own = &tool.plugin.lifecycle;
    let own = match verb {
        Verb::Install => &own.install,
        Verb::Uninstall => &own.uninstall,
        // Of a process it is what is kept.
        Verb::Start if tool.kind() == Kind::Process => &None,
        Verb::Start => &own.start,
        Verb::Stop => &own.stop,
        Verb::Status => &own.status,
    };
    own.clone().or_else(|| default(tool, verb, environment))
}

fn default(tool: &Tool, verb: Verb, environment: &Environment) -> Option<String> {
    match tool.kind() {
        Kind::Compose => match verb {
            Verb::Start => Some("docker compose up --detach".into()),
            Verb::Stop | Verb::Uninstall => Some("docker compose down".into()),
            Verb::Install | Verb::Status => None,
        },
        Kind::Docker => docker(tool, verb),
        Kind::Systemd => systemd(tool, verb, environment),
        Kind::Script | Kind::Process | Kind::None => None,
    }
}

/// The name of the container of a `docker` service.
pub(crate) fn container(tool: &Tool) -> String {
    format!("atelier-tool-{}", tool.slug)
}

fn docker(tool: &Tool, verb: Verb) -> Option<String> {
    let name = container(tool);
    let service = tool.plugin.service.as_ref()?;
    let image = quote(service.image.as_deref()?);
    match verb {
        Verb::Start => {
            let mut line = format!("docker rm --force {name} >/dev/null 2>&1; ");
            line += &format!("docker run --detach --name {name} --label {LABEL}={}", tool.slug);
            for port in &tool.plugin.ports {
                let udp = if port.protocol.eq_ignore_ascii_case("udp") { "/udp" } else { "" };
                line += &format!(" --publish 127.0.0.1:{0}:{0}{udp}", port.port);
            }
            // Only the names: docker takes the values from its environment.
            for variable in &tool.plugin.env_vars {
                line += &format!(" --env {}", variable.name);
            }
            line += &format!(" {image}");
            for word in &service.command {
                line += &format!(" {}", quote(word));
            }
            Some(line)
        }
        Verb::Stop => Some(format!("docker stop {name} && docker rm {name}")),
        Verb::Install => {
            Some(format!("docker image inspect {image} >/dev/null 2>&1 || docker pull {image}"))
        }
        Verb::Uninstall => Some(format!("docker rm --force {name}")),
        Verb::Status => None,
    }
}

fn systemd(tool: &Tool, verb: Verb, environment: &Environment) -> Option<String> {
    let control = control(tool, environment)?;
    let unit = quote(tool.plugin.service.as_ref()?.unit_name.as_deref()?);
    let own = tool.folder.join(tool.plugin.service.as_ref()?.unit_name.as_deref()?);
    let file = quote(&own.to_string_lossy());
    match verb {
        Verb::Start => Some(format!("{control} start {unit}")),
        Verb::Stop => Some(format!("{control} stop {unit}")),
        Verb::Status => Some(format!("{control} is-active --quiet {unit}")),
        // A unit that the plugin brings is linked to where it lies.
        Verb::Install if own.exists() => Some(format!("{control} link {file}")),
        Verb::Uninstall if own.exists() => Some(format!("{control} disable --now {unit}")),
        Verb::Install | Verb::Uninstall => None,
    }
}

/// `systemctl`, of the user where the unit is the plugin's or the user's, else of the system.
fn control(tool: &Tool, environment: &Environment) -> Option<String> {
    let unit = tool.plugin.service.as_ref()?.unit_name.as_deref()?;
    let of_user = tool.folder.join(unit).exists()
        || spawn::ask("systemctl", &["--user", "cat", "--", unit], environment).is_some();
    Some(if of_user { "systemctl --user".into() } else { "systemctl".into() })
}

/// The command that shows a log.
pub(crate) fn logs(
    tool: &Tool,
    lines: usize,
    follow: bool,
    environment: &Environment,
) -> Option<String> {
    if let Some(own) = &tool.plugin.lifecycle.logs {
        return Some(own.clone());
    }
    let following = if follow { " --follow" } else { "" };
    match tool.kind() {
        Kind::Compose => Some(format!("docker compose logs --no-color --tail {lines}{following}")),
        Kind::Docker => Some(format!("docker logs --tail {lines}{following} {}", container(tool))),
        Kind::Systemd => {
            let unit = quote(tool.plugin.service.as_ref()?.unit_name.as_deref()?);
            let user = match control(tool, environment)?.as_str() {
                "systemctl" => "",
                _ => "--user ",
            };
            Some(format!("journalctl {user}--unit {unit} --lines {lines} --no-pager{following}"))
        }
        _ => None,
    }
}

/// A word for a shell.
pub(crate) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}
