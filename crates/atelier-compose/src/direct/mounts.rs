//! Volumes, folders and memory that containers have mounted.

use std::collections::HashMap;

use bollard_stubs::models::{
    HostConfig, Mount, MountBindOptions, MountBindOptionsPropagationEnum as Propagation,
    MountTmpfsOptions, MountType, MountVolumeOptions,
};
use serde_json::Value;

use super::service::{Service, scalar};
use super::{DirectVolume, Top};
use crate::error::Result;

/// Keys of one mount.
const KEYS: [&str; 8] =
    ["type", "source", "target", "read_only", "bind", "volume", "tmpfs", "consistency"];

/// The project's volumes.
pub(super) fn volumes(top: &Top<'_>, project: &str) -> Vec<DirectVolume> {
    let texts = |value: Option<&Value>| -> HashMap<String, String> {
        let map = value.and_then(Value::as_object).into_iter().flatten();
        map.map(|(key, value)| (key.clone(), scalar(value).unwrap_or_default())).collect()
    };
    let users = |key: &str| {
        let uses = |service: &Value| {
            let mounts = service.get("volumes").and_then(Value::as_array).into_iter().flatten();
            mounts.into_iter().any(|m| m["type"] == "volume" && m["source"] == key)
        };
        let services = top.section("services").iter();
        services.filter(|(_, s)| uses(s)).map(|(name, _)| name.clone()).collect()
    };
    let one = |(key, volume): (&String, &Value)| {
        let mut labels = texts(volume.get("labels"));
        labels.insert(super::PROJECT.to_owned(), project.to_owned());
        labels.insert("com.docker.compose.volume".to_owned(), key.clone());
        DirectVolume {
            name: top.named("volumes", key),
            external: volume.get("external").and_then(Value::as_bool).unwrap_or(false),
            driver: volume.get("driver").and_then(Value::as_str).map(str::to_owned),
            options: texts(volume.get("driver_opts")),
            labels,
            users: users(key),
        }
    };
    top.section("volumes").iter().map(one).collect()
}

/// Sets what is mounted; gives the targets of anonymous volumes.
pub(super) fn set(
    service: &Service<'_>,
    top: &Top<'_>,
    host: &mut HostConfig,
) -> Result<Option<Vec<String>>> {
    let (mut binds, mut mounts, mut anonymous) = (Vec::new(), Vec::new(), Vec::new());
    let list = service.get("volumes").and_then(Value::as_array).into_iter().flatten();
    for entry in list {
        service.only("volumes", entry, &KEYS)?;
        let one = One::read(service, entry)?;
        match entry["type"].as_str().unwrap_or_default() {
            "bind" => match one.bind(service)? {
                Ok(text) => binds.push(text),
                Err(mount) => mounts.push(mount),
            },
            "volume" if one.source.is_empty() && !one.read_only && one.plain("volume") => {
                anonymous.push(one.target.to_owned());
            }
            "volume" => mounts.push(one.volume(service, top)?),
            "tmpfs" => mounts.push(one.tmpfs(service)?),
            _ => return Err(service.refuse("volumes.type", "only Compose knows this one")),
        }
    }
    host.binds = Some(binds);
    host.mounts = Some(mounts);
    let options = |text: String| match text.split_once(':') {
        Some((path, options)) => (path.to_owned(), options.to_owned()),
        None => (text, String::new()),
    };
    host.tmpfs = service.texts("tmpfs")?.map(|all| all.into_iter().map(options).collect());
    Ok((!anonymous.is_empty()).then_some(anonymous))
}

/// One mount of a service.
struct One<'a> {
    entry: &'a Value,
    source: &'a str,
    target: &'a str,
    read_only: bool,
}

impl<'a> One<'a> {
    fn read(service: &Service<'_>, entry: &'a Value) -> Result<Self> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let (source, target) = (text("source"), text("target"));
        if target.is_empty() {
            return Err(service.refuse("volumes", "one has no target"));
        }
        Ok(Self { entry, source, target, read_only: entry["read_only"] == true })
    }

    /// Whether nothing is said about how.
    fn plain(&self, kind: &str) -> bool {
        let how = self.entry.get(kind);
        how.is_none_or(|how| how.as_object().is_none_or(serde_json::Map::is_empty))
    }

    fn mount(&self, kind: MountType) -> Mount {
        Mount {
            target: Some(self.target.to_owned()),
            source: Some(self.source.to_owned()).filter(|s| !s.is_empty()),
            typ: Some(kind),
            read_only: Some(self.read_only),
            ..Mount::default()
        }
    }

    /// As a text, for which engines make the folder; as a mount where they shall not.
    fn bind(&self, service: &Service<'_>) -> Result<Result<String, Mount>> {
        let how = self.entry.get("bind").unwrap_or(&Value::Null);
        service.only("volumes.bind", how, &["create_host_path", "propagation", "selinux"])?;
        let make = how.get("create_host_path").and_then(Value::as_bool).unwrap_or(true);
        let propagation = how.get("propagation").and_then(Value::as_str).unwrap_or_default();
        let selinux = how.get("selinux").and_then(Value::as_str).unwrap_or_default();
        if make && !self.source.contains(':') && !self.target.contains(':') {
            let mode = if self.read_only { "ro" } else { "rw" };
            let modes = [mode, selinux, propagation];
            let modes: Vec<&str> = modes.into_iter().filter(|m| !m.is_empty()).collect();
            return Ok(Ok(format!("{}:{}:{}", self.source, self.target, modes.join(","))));
        }
        if !selinux.is_empty() {
            return Err(service.refuse("volumes.bind.selinux", "together with this path"));
        }
        let known = match propagation {
            "" => None,
            "private" => Some(Propagation::PRIVATE),
            "rprivate" => Some(Propagation::RPRIVATE),
            "shared" => Some(Propagation::SHARED),
            "rshared" => Some(Propagation::RSHARED),
            "slave" => Some(Propagation::SLAVE),
            "rslave" => Some(Propagation::RSLAVE),
            _ => return Err(service.refuse("volumes.bind.propagation", "no engine knows it")),
        };
        let mut mount = self.mount(MountType::BIND);
        let options = MountBindOptions { propagation: known, ..MountBindOptions::default() };
        mount.bind_options = Some(options);
        Ok(Err(mount))
    }

    fn volume(&self, service: &Service<'_>, top: &Top<'_>) -> Result<Mount> {
        let how = self.entry.get("volume").unwrap_or(&Value::Null);
        service.only("volumes.volume", how, &["nocopy", "subpath"])?;
        let mut mount = self.mount(MountType::VOLUME);
        mount.source = mount.source.map(|key| top.named("volumes", &key));
        let options = MountVolumeOptions {
            no_copy: how.get("nocopy").and_then(Value::as_bool),
            subpath: how.get("subpath").and_then(Value::as_str).map(str::to_owned),
            ..MountVolumeOptions::default()
        };
        mount.volume_options = Some(options);
        Ok(mount)
    }

    fn tmpfs(&self, service: &Service<'_>) -> Result<Mount> {
        let how = self.entry.get("tmpfs").unwrap_or(&Value::Null);
        service.only("volumes.tmpfs", how, &["size", "mode"])?;
        let at = |key: &str| how.get(key).filter(|v| !v.is_null());
        let mut mount = self.mount(MountType::TMPFS);
        mount.tmpfs_options = Some(MountTmpfsOptions {
            size_bytes: at("size").map(|v| service.size("volumes.tmpfs.size", v)).transpose()?,
            mode: at("mode").map(|v| service.number_of("volumes.tmpfs.mode", v)).transpose()?,
            options: None,
        });
        Ok(mount)
    }
}
