//! Every environment variable that Atelier reads or sets, declared once. The reference page is
//! made from these tables; no other file spells the names.

use std::fmt::Write as _;

use atelier_api::nearest;

/// One environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// What holds without it.
    pub default: &'static str,
}

/// The home folder.
pub const HOME: &str = "ATELIER_HOME";
/// How much is logged.
pub const LOG: &str = "ATELIER_LOG";
/// How log lines look.
pub const LOG_FORMAT: &str = "ATELIER_LOG_FORMAT";
/// Where the control plane is.
pub const HOST: &str = "ATELIER_HOST";
/// The machine that commands are for.
pub const ON: &str = "ATELIER_ON";
/// The key for calls over TCP.
pub const TOKEN: &str = "ATELIER_TOKEN";
/// What isolates new environments.
pub const RUNTIME: &str = "ATELIER_RUNTIME";
/// The network's mode of new environments.
pub const NETWORK: &str = "ATELIER_NETWORK";
/// What the network lets through.
pub const ALLOW: &str = "ATELIER_ALLOW";
/// The limit of memory.
pub const MEMORY: &str = "ATELIER_MEMORY";
/// The limit of processor time.
pub const CPUS: &str = "ATELIER_CPUS";
/// The limit of processes.
pub const PROCESSES: &str = "ATELIER_PROCESSES";
/// The limit of disk space.
pub const DISK: &str = "ATELIER_DISK";
/// Credentials that stay visible.
pub const GRANTS: &str = "ATELIER_GRANTS";
/// When an idle sandbox is stopped.
pub const IDLE_STOP: &str = "ATELIER_IDLE_STOP";
/// Where web servers inside environments are reached.
pub const INGRESS: &str = "ATELIER_INGRESS";
/// What isolates new sandboxes.
pub const SANDBOX_RUNTIME: &str = "ATELIER_SANDBOX_RUNTIME";
/// CRIU's program.
pub const CRIU: &str = "ATELIER_CRIU";
/// What new sandboxes start from.
pub const SANDBOX_FROM: &str = "ATELIER_SANDBOX_FROM";
/// The domain of sandboxes.
pub const DOMAIN: &str = "ATELIER_DOMAIN";
/// Where the ingress speaks TLS.
pub const TLS: &str = "ATELIER_TLS";
/// The certificate of the ingress.
pub const TLS_CERTIFICATE: &str = "ATELIER_TLS_CERTIFICATE";
/// The key of the certificate.
pub const TLS_KEY: &str = "ATELIER_TLS_KEY";
/// Where the SSH server listens.
pub const SSH: &str = "ATELIER_SSH";
/// Mirrors of registries.
pub const MIRRORS: &str = "ATELIER_MIRRORS";
/// Registries without TLS.
pub const INSECURE: &str = "ATELIER_INSECURE_REGISTRIES";
/// The container engine.
pub const ENGINE: &str = "ATELIER_ENGINE";
/// The Compose program.
pub const COMPOSE: &str = "ATELIER_COMPOSE";
/// What agents may do to tools.
pub const CONSENT: &str = "ATELIER_TOOLS_CONSENT";
/// Where services are reached.
pub const REACH: &str = "ATELIER_REACH";
/// Where subnets of environments come from.
pub const SUBNETS: &str = "ATELIER_SUBNETS";
/// How long a shared service stays unused.
pub const GRACE: &str = "ATELIER_SHARED_GRACE";
/// The suffix of services' names.
pub const DNS_SUFFIX: &str = "ATELIER_DNS_SUFFIX";
/// Where the name server listens.
pub const DNS: &str = "ATELIER_DNS";
/// Turns colours off.
pub const NO_COLOR: &str = "NO_COLOR";

/// Those that hold for one call: the CLI reads them and sends them with it, so a control plane
/// that it starts must not inherit them.
pub const PER_CALL: &[&str] =
    &[HOST, ON, TOKEN, RUNTIME, NETWORK, ALLOW, MEMORY, CPUS, PROCESSES, DISK, GRANTS];

const fn variable(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, meaning, default }
}

/// What Atelier reads.
pub const READ: &[Variable] = &[
    variable(HOME, "~/.atelier", "The folder where Atelier keeps everything."),
    variable(
        LOG,
        "info",
        "What the control plane logs: a level, or directives such as atelier=debug.",
    ),
    variable(LOG_FORMAT, "text", "How log lines look: text or json."),
    variable(
        HOST,
        "the home's socket",
        "Where the control plane is: unix:/path or http://127.0.0.1:PORT. It is not started for you then.",
    ),
    variable(ON, "this machine", "The far host that commands are for, as --on names it."),
    variable(TOKEN, "keys/api of the home", "The key that calls over TCP carry."),
    variable(RUNTIME, "host", "What isolates new environments."),
    variable(NETWORK, "open", "The network of new environments: open, none or allowlist."),
    variable(ALLOW, "nothing", "host:port rules for new environments, separated by commas."),
    variable(MEMORY, "no limit", "Memory of a new environment, such as 2GiB."),
    variable(CPUS, "no limit", "Processor time of a new environment, in cores, such as 1.5."),
    variable(PROCESSES, "8192", "Processes and threads of a new environment."),
    variable(DISK, "no limit", "What a new environment may write to disk, such as 10GiB."),
    variable(
        GRANTS,
        "nothing",
        "Groups of credentials that stay visible in new environments, separated by commas.",
    ),
    variable(IDLE_STOP, "30m", "A sandbox without commands is stopped after this time; never."),
    variable(INGRESS, "127.0.0.1:4780", "Where web servers in environments are reached; off."),
    variable(SANDBOX_RUNTIME, "oci", "What isolates new sandboxes."),
    variable(
        CRIU,
        "/usr/sbin/criu",
        "CRIU, or a folder with an unpacked distribution that it lies in.",
    ),
    variable(
        SANDBOX_FROM,
        "debian:bookworm-slim",
        "The template, snapshot or image that new sandboxes start from.",
    ),
    variable(
        DOMAIN,
        "localhost",
        "The domain below which ports of sandboxes have names: PORT-ID.DOMAIN.",
    ),
    variable(TLS, "off", "Where the ingress speaks TLS, such as 127.0.0.1:4443; off."),
    variable(
        TLS_CERTIFICATE,
        "from the home's own authority",
        "A file with the certificates for *.DOMAIN, in PEM.",
    ),
    variable(TLS_KEY, "not set", "The file with the key of that certificate, in PEM."),
    variable(SSH, "127.0.0.1:4722", "Where the SSH server of sandboxes listens; off."),
    variable(
        MIRRORS,
        "none",
        "Mirrors of registries, such as docker.io=http://127.0.0.1:5000, separated by commas.",
    ),
    variable(
        INSECURE,
        "loopback only",
        "Registries that are spoken to without TLS, separated by commas.",
    ),
    variable(
        ENGINE,
        "found by itself",
        "The container engine of services: docker, podman, a Docker context, or an address such as unix:///run/docker.sock.",
    ),
    variable(
        COMPOSE,
        "found by itself",
        "The program of Docker Compose, version 2 or newer; native: none, services are started without it.",
    ),
    variable(
        REACH,
        "auto",
        "Where services are reached from this machine: addresses (those of their containers), loopback (ports of 127.0.0.1), or auto, as the engine says.",
    ),
    variable(SUBNETS, "10.224.0.0/12", "The range that environments' subnets are cut from."),
    variable(GRACE, "1m", "How long a shared service goes on when nobody uses it; never."),
    variable(DNS_SUFFIX, "test", "What the names of services end with: SERVICE.ENV.SUFFIX."),
    variable(DNS, "127.0.0.1:4753", "Where the name server listens; off."),
    variable(
        CONSENT,
        "ask",
        "What an agent may do to the installed tools without a person's word: deny (nothing), ask, verified (add what a registry calls verified), allow.",
    ),
    variable(NO_COLOR, "not set", "Any value turns colours off (https://no-color.org)."),
];

/// What Atelier sets for every command inside an environment.
pub const INSIDE: &[Variable] = &[
    variable("ATELIER_ENV", "always set", "The environment's name."),
    variable("ATELIER_PROJECT", "always set", "The project's name."),
    variable("ATELIER_WORKSPACE", "always set", "The folder of the project's copy."),
    variable(
        "ATELIER_BASE_URL",
        "always set",
        "The address of the project's main service by its name.",
    ),
    variable(
        "ATELIER_URL",
        "set with an ingress",
        "Where its web server is reached from the host.",
    ),
];

/// How the names of Atelier's variables begin.
const OURS: &str = "ATELIER_";

/// What tools, their services and the tests have for themselves begins so.
const OTHERS: &[&str] = &["ATELIER_TOOL", "ATELIER_BIN", "ATELIER_TEST_"];

/// A variable that looks like Atelier's and that nothing reads: a misspelt one, as a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// Its name.
    pub name: String,
    /// The variable whose name is most like it, if one is much like it.
    pub meant: Option<&'static str>,
}

/// The strangers among the names of variables, by name.
pub fn strangers(names: impl IntoIterator<Item = String>) -> Vec<Stranger> {
    let known = |name: &str| READ.iter().chain(INSIDE).any(|v| v.name == name);
    let others = |name: &str| OTHERS.iter().any(|begin| name.starts_with(begin));
    let ours = |name: &String| name.starts_with(OURS) && !others(name) && !known(name);
    let mut names: Vec<String> = names.into_iter().filter(ours).collect();
    names.sort();
    names.into_iter().map(|name| Stranger { meant: like(&name), name }).collect()
}

/// The strangers in this process's environment.
#[must_use]
pub fn strangers_here() -> Vec<Stranger> {
    strangers(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
}

/// The variable that somebody said too much of, or else the one whose name is most like it. The first
/// word is everybody's, and says nothing.
fn like(name: &str) -> Option<&'static str> {
    let begins = |v: &&Variable| name.strip_prefix(v.name).is_some_and(|end| end.starts_with('_'));
    if let Some(shorter) = READ.iter().filter(begins).max_by_key(|v| v.name.len()) {
        return Some(shorter.name);
    }
    let known =
        || READ.iter().map(|v| v.name).filter_map(|name| Some((name, name.strip_prefix(OURS)?)));
    let meant = nearest(name.strip_prefix(OURS)?, known().map(|(_, rest)| rest))?;
    known().find(|(_, rest)| *rest == meant).map(|(name, _)| name)
}

/// The reference page, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from("# Environment variables\n\n## Read by Atelier\n\n");
    table(&mut page, READ, "Default");
    page.push_str("\n## Set inside an environment\n\n");
    table(&mut page, INSIDE, "When");
    page
}

fn table(page: &mut String, variables: &[Variable], third: &str) {
    let _ = writeln!(page, "| Name | Meaning | {third} |\n|---|---|---|");
    for v in variables {
        let _ = writeln!(page, "| `{}` | {} | {} |", v.name, v.meaning, v.default);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_stands_once_in_the_reference() {
        let page = reference();
        for v in READ.iter().chain(INSIDE) {
            assert_eq!(page.matches(&format!("| `{}` |", v.name)).count(), 1, "{}", v.name);
        }
    }

    #[test]
    fn what_nothing_reads_is_told_with_what_was_meant() {
        let told = |name: &str| strangers([name.to_owned()]).pop().map(|stranger| stranger.meant);
        for known in [
            "ATELIER_TLS",
            "ATELIER_ENV",
            "NO_COLOR",
            "PATH",
            "ATELIER_TOOL_HOME",
            "ATELIER_TEST_ENGINE",
        ] {
            assert_eq!(told(known), None, "{known}");
        }
        assert_eq!(told("ATELIER_TLS_LISTEN"), Some(Some(TLS)));
        assert_eq!(told("ATELIER_RUNTINE"), Some(Some(RUNTIME)));
        assert_eq!(told("ATELIER_COLOUR_OF_THE_SKY"), Some(None));
    }

    #[test]
    fn what_holds_for_one_call_is_declared() {
        for name in PER_CALL {
            assert!(READ.iter().any(|v| v.name == *name), "{name}");
        }
    }
}
