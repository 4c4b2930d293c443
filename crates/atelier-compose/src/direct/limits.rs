//! What a container may use: memory, processors, devices.

use bollard_stubs::models::{DeviceMapping, HostConfig, ResourcesUlimits};
use serde_json::Value;

use super::service::{Service, scalar};
use crate::error::Result;

/// Of a processor in the engine's unit.
const WHOLE: f64 = 1e9;

pub(super) fn set(service: &Service<'_>, host: &mut HostConfig) -> Result<()> {
    let size = |key: &str| service.get(key).map(|v| service.size(key, v)).transpose();
    host.memory = size("mem_limit")?;
    host.memory_reservation = size("mem_reservation")?;
    host.memory_swap = size("memswap_limit")?;
    host.memory_swappiness = service.number("mem_swappiness")?;
    host.shm_size = size("shm_size")?;
    host.nano_cpus = service.get("cpus").map(|v| processors(service, "cpus", v)).transpose()?;
    host.cpu_shares = service.number("cpu_shares")?;
    host.cpu_quota = service.number("cpu_quota")?;
    host.cpu_period = match service.get("cpu_period") {
        Some(Value::String(text)) if text.ends_with('s') => {
            Some(service.time("cpu_period", &Value::String(text.clone()))? / 1000)
        }
        _ => service.number("cpu_period")?,
    };
    host.cpuset_cpus = service.owned("cpuset")?;
    host.oom_kill_disable = service.flag("oom_kill_disable");
    host.oom_score_adj = service.number("oom_score_adj")?;
    host.pids_limit = service.number("pids_limit")?;
    host.ulimits = ulimits(service)?;
    host.devices = devices(service)?;
    host.device_cgroup_rules = service.texts("device_cgroup_rules")?;
    deploy(service, host)
}

fn processors(service: &Service<'_>, key: &str, value: &Value) -> Result<i64> {
    let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
    let number = number.filter(|n| (0.0..1e6).contains(n));
    number.map(|n| (n * WHOLE) as i64).ok_or_else(|| service.refuse(key, "it is no number"))
}

/// Of swarms only what one engine does as well.
fn deploy(service: &Service<'_>, host: &mut HostConfig) -> Result<()> {
    let Some(deploy) = service.get("deploy") else { return Ok(()) };
    service.only("deploy", deploy, &["replicas", "resources", "mode", "labels"])?;
    if deploy.get("mode").is_some_and(|mode| mode != "replicated") {
        return Err(service.refuse("deploy.mode", "only Compose knows this one"));
    }
    let Some(resources) = deploy.get("resources") else { return Ok(()) };
    service.only("deploy.resources", resources, &["limits", "reservations"])?;
    if let Some(limits) = resources.get("limits") {
        service.only("deploy.resources.limits", limits, &["cpus", "memory", "pids"])?;
        let at = |key: &str| limits.get(key).filter(|v| !v.is_null());
        let key = "deploy.resources.limits";
        if let Some(cpus) = at("cpus") {
            host.nano_cpus = Some(processors(service, &format!("{key}.cpus"), cpus)?);
        }
        if let Some(memory) = at("memory") {
            host.memory = Some(service.size(&format!("{key}.memory"), memory)?);
        }
        if let Some(pids) = at("pids") {
            host.pids_limit = Some(service.number_of(&format!("{key}.pids"), pids)?);
        }
    }
    if let Some(kept) = resources.get("reservations") {
        service.only("deploy.resources.reservations", kept, &["memory", "cpus"])?;
        if let Some(memory) = kept.get("memory").filter(|v| !v.is_null()) {
            let size = service.size("deploy.resources.reservations.memory", memory)?;
            host.memory_reservation = Some(size);
        }
    }
    Ok(())
}

fn ulimits(service: &Service<'_>) -> Result<Option<Vec<ResourcesUlimits>>> {
    let Some(limits) = service.get("ulimits").and_then(Value::as_object) else { return Ok(None) };
    let one = |(name, limit): (&String, &Value)| {
        let key = format!("ulimits.{name}");
        let of = |part: &str| limit.get(part).or_else(|| limit.get("single")).unwrap_or(limit);
        Ok(ResourcesUlimits {
            name: Some(name.clone()),
            soft: Some(service.number_of(&key, of("soft"))?),
            hard: Some(service.number_of(&key, of("hard"))?),
        })
    };
    limits.iter().map(one).collect::<Result<_>>().map(Some)
}

/// `source[:target[:permissions]]`, or the same as a mapping.
fn devices(service: &Service<'_>) -> Result<Option<Vec<DeviceMapping>>> {
    let Some(devices) = service.get("devices").and_then(Value::as_array) else { return Ok(None) };
    let one = |device: &Value| {
        let (source, target, permissions) = match device {
            Value::String(text) => {
                let mut parts = text.splitn(3, ':').map(str::to_owned);
                (parts.next(), parts.next(), parts.next())
            }
            _ => {
                let of = |key: &str| device.get(key).and_then(scalar);
                (of("source"), of("target"), of("permissions"))
            }
        };
        let source = source.filter(|s| s.starts_with('/'));
        let source = source.ok_or_else(|| service.refuse("devices", "it is no path"))?;
        Ok(DeviceMapping {
            path_in_container: Some(target.unwrap_or_else(|| source.clone())),
            path_on_host: Some(source),
            cgroup_permissions: Some(permissions.unwrap_or_else(|| "rwm".to_owned())),
        })
    };
    devices.iter().map(one).collect::<Result<_>>().map(Some)
}
