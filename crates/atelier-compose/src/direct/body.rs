//! One service as the body of the call that makes a container.

use std::collections::{BTreeMap, HashMap};

use bollard_stubs::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig, Mount,
    RestartPolicy, RestartPolicyNameEnum,
};
use serde_json::Value;

use super::service::{Service, scalar};
use super::{Top, limits, mounts, reach};
use crate::error::Result;

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

pub(super) fn of(
    service: &Service<'_>,
    top: &Top<'_>,
    networks: &[(String, EndpointSettings)],
    more: Vec<Mount>,
) -> Result<ContainerCreateBody> {
    let (ports, bindings) = reach::ports(service)?;
    let mut host = host(service)?;
    host.port_bindings = bindings;
    host.network_mode = reach::mode(service, networks)?;
    limits::set(service, &mut host)?;
    let volumes = mounts::set(service, top, &mut host)?;
    host.mounts.get_or_insert_default().extend(more);
    let stop = service.get("stop_grace_period");
    Ok(ContainerCreateBody {
        hostname: service.owned("hostname")?,
        domainname: service.owned("domainname")?,
        user: service.get("user").and_then(scalar),
        exposed_ports: ports,
        tty: service.flag("tty"),
        open_stdin: service.flag("stdin_open"),
        env: environment(service)?,
        cmd: service.texts("command")?,
        entrypoint: service.texts("entrypoint")?,
        healthcheck: health(service)?,
        volumes,
        working_dir: service.owned("working_dir")?,
        labels: service.map("labels")?,
        stop_signal: service.owned("stop_signal")?,
        stop_timeout: stop
            .map(|value| service.time("stop_grace_period", value))
            .transpose()?
            .map(|nanoseconds| nanoseconds / SECOND),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    })
}

fn environment(service: &Service<'_>) -> Result<Option<Vec<String>>> {
    let pairs = service.pairs("environment")?;
    // A name alone takes away what the image sets.
    let written = |(name, value): (String, Option<String>)| match value {
        Some(value) => format!("{name}={value}"),
        None => name,
    };
    Ok(pairs.map(|pairs| pairs.into_iter().map(written).collect()))
}

fn host(service: &Service<'_>) -> Result<HostConfig> {
    Ok(HostConfig {
        restart_policy: restart(service)?,
        log_config: logging(service)?,
        cap_add: service.texts("cap_add")?,
        cap_drop: service.texts("cap_drop")?,
        dns: service.texts("dns")?,
        dns_options: service.texts("dns_opt")?,
        dns_search: service.texts("dns_search")?,
        extra_hosts: reach::hosts(service)?,
        group_add: service.texts("group_add")?,
        ipc_mode: service.owned("ipc")?,
        pid_mode: service.owned("pid")?,
        uts_mode: service.owned("uts")?,
        userns_mode: service.owned("userns_mode")?,
        cgroup_parent: service.owned("cgroup_parent")?,
        cgroupns_mode: cgroup(service)?,
        privileged: service.flag("privileged"),
        readonly_rootfs: service.flag("read_only"),
        init: service.flag("init"),
        security_opt: security(service)?,
        storage_opt: service.map("storage_opt")?,
        annotations: service.map("annotations")?,
        sysctls: service.map("sysctls")?,
        runtime: service.owned("runtime")?,
        volumes_from: service.texts("volumes_from")?,
        ..HostConfig::default()
    })
}

fn cgroup(
    service: &Service<'_>,
) -> Result<Option<bollard_stubs::models::HostConfigCgroupnsModeEnum>> {
    use bollard_stubs::models::HostConfigCgroupnsModeEnum as Mode;
    match service.text("cgroup")? {
        None => Ok(None),
        Some("host") => Ok(Some(Mode::HOST)),
        Some("private") => Ok(Some(Mode::PRIVATE)),
        Some(_) => Err(service.refuse("cgroup", "only Compose knows this one")),
    }
}

/// Files of rules are read by the tool, so they are its business.
fn security(service: &Service<'_>) -> Result<Option<Vec<String>>> {
    let options = service.texts("security_opt")?;
    let file = |option: &String| {
        let (key, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
        key == "seccomp" && value != "unconfined" && value != "builtin"
    };
    if options.iter().flatten().any(file) {
        return Err(service.refuse("security_opt", "a file of seccomp rules"));
    }
    let written = |option: String| match option.split_once(':') {
        Some((key, value)) if !key.contains('=') => format!("{key}={value}"),
        _ => option,
    };
    Ok(options.map(|options| options.into_iter().map(written).collect()))
}

fn restart(service: &Service<'_>) -> Result<Option<RestartPolicy>> {
    use RestartPolicyNameEnum as Name;
    let Some(text) = service.text("restart")? else { return Ok(None) };
    let (name, count) = text.split_once(':').unwrap_or((text, ""));
    let known = match name {
        "no" | "" => Name::NO,
        "always" => Name::ALWAYS,
        "on-failure" => Name::ON_FAILURE,
        "unless-stopped" => Name::UNLESS_STOPPED,
        _ => return Err(service.refuse("restart", "no engine knows it")),
    };
    let count = match count {
        "" => None,
        count => {
            let read = count.parse();
            Some(read.map_err(|_| service.refuse("restart", "it has no number of tries"))?)
        }
    };
    Ok(Some(RestartPolicy { name: Some(known), maximum_retry_count: count }))
}

fn logging(service: &Service<'_>) -> Result<Option<HostConfigLogConfig>> {
    let Some(logging) = service.get("logging") else { return Ok(None) };
    service.only("logging", logging, &["driver", "options"])?;
    let options = logging.get("options").and_then(Value::as_object);
    let options: HashMap<String, String> = options
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), scalar(value)?)))
        .collect();
    let typ = logging.get("driver").and_then(Value::as_str).map(str::to_owned);
    Ok(Some(HostConfigLogConfig { typ, config: Some(options) }))
}

fn health(service: &Service<'_>) -> Result<Option<HealthConfig>> {
    let Some(check) = service.get("healthcheck") else { return Ok(None) };
    let times = ["interval", "timeout", "start_period", "start_interval"];
    service.only("healthcheck", check, &[&times[..], &["test", "retries", "disable"]].concat())?;
    if check.get("disable").and_then(Value::as_bool) == Some(true) {
        return Ok(Some(HealthConfig { test: Some(vec!["NONE".into()]), ..Default::default() }));
    }
    let time = |key: &str| {
        let value = check.get(key).filter(|v| !v.is_null());
        value.map(|v| service.time(&format!("healthcheck.{key}"), v)).transpose()
    };
    let test = check.get("test").filter(|t| !t.is_null());
    let test = match test {
        Some(Value::String(text)) => Some(vec!["CMD-SHELL".to_owned(), text.clone()]),
        Some(test) => Some(service.texts_of("healthcheck.test", test)?),
        None => None,
    };
    let retries = check.get("retries").filter(|r| !r.is_null());
    Ok(Some(HealthConfig {
        test,
        interval: time("interval")?,
        timeout: time("timeout")?,
        start_period: time("start_period")?,
        start_interval: time("start_interval")?,
        retries: retries.map(|r| service.number_of("healthcheck.retries", r)).transpose()?,
    }))
}

/// Puts containers where the definition names services.
pub(super) fn resolve(body: &mut ContainerCreateBody, ids: &BTreeMap<String, String>) {
    let Some(host) = &mut body.host_config else { return };
    let modes =
        [&mut host.network_mode, &mut host.ipc_mode, &mut host.pid_mode, &mut host.uts_mode];
    for mode in modes {
        let service = mode.as_deref().and_then(|m| m.strip_prefix("service:"));
        if let Some(id) = service.and_then(|service| ids.get(service)) {
            *mode = Some(format!("container:{id}"));
        }
    }
    for from in host.volumes_from.iter_mut().flatten() {
        let (name, how) = match from.strip_prefix("container:") {
            Some(rest) => {
                *from = rest.to_owned();
                continue;
            }
            None => from.split_once(':').unwrap_or((from, "rw")),
        };
        if let Some(id) = ids.get(name) {
            *from = format!("{id}:{how}");
        }
    }
}
