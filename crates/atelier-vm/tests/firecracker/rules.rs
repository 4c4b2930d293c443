//! Which fields each request may and must have: from the definitions in Firecracker's OpenAPI
//! document. It refuses a request with any other.

use serde_json::Value;

/// Method and path (a `*` for an id), the fields that must be there, and those that may.
const BODIES: &[(&str, &str, &[&str], &[&str])] = &[
    ("PUT", "/actions", &["action_type"], &[]),
    ("PUT", "/balloon", &["amount_mib", "deflate_on_oom"], &["stats_polling_interval_s"]),
    ("PATCH", "/balloon", &["amount_mib"], &[]),
    ("PUT", "/boot-source", &["kernel_image_path"], &["boot_args", "initrd_path"]),
    (
        "PUT",
        "/drives/*",
        &["drive_id", "is_root_device"],
        &[
            "partuuid",
            "cache_type",
            "is_read_only",
            "path_on_host",
            "rate_limiter",
            "io_engine",
            "socket",
        ],
    ),
    ("PATCH", "/drives/*", &["drive_id"], &["path_on_host", "rate_limiter"]),
    ("PUT", "/entropy", &[], &["rate_limiter"]),
    ("PUT", "/logger", &[], &["level", "log_path", "show_level", "show_log_origin", "module"]),
    (
        "PUT",
        "/machine-config",
        &["mem_size_mib", "vcpu_count"],
        &["cpu_template", "smt", "track_dirty_pages", "huge_pages"],
    ),
    ("PUT", "/metrics", &["metrics_path"], &["emit_id", "properties"]),
    (
        "PUT",
        "/network-interfaces/*",
        &["host_dev_name", "iface_id"],
        &["guest_mac", "rx_rate_limiter", "tx_rate_limiter"],
    ),
    ("PATCH", "/network-interfaces/*", &["iface_id"], &["rx_rate_limiter", "tx_rate_limiter"]),
    ("PUT", "/snapshot/create", &["mem_file_path", "snapshot_path"], &["snapshot_type"]),
    (
        "PUT",
        "/snapshot/load",
        &["snapshot_path"],
        &["track_dirty_pages", "mem_backend", "resume_vm", "network_overrides", "vsock_override"],
    ),
    ("PATCH", "/vm", &["state"], &[]),
    ("PUT", "/vsock", &["guest_cid", "uds_path"], &["vsock_id"]),
];
/// The same for objects within, by the name of the field that holds them.
const PARTS: &[(&str, &[&str], &[&str])] = &[
    ("bandwidth", &["size", "refill_time"], &["one_time_burst"]),
    ("ops", &["size", "refill_time"], &["one_time_burst"]),
    ("rate_limiter", &[], &["bandwidth", "ops"]),
    ("rx_rate_limiter", &[], &["bandwidth", "ops"]),
    ("tx_rate_limiter", &[], &["bandwidth", "ops"]),
    ("mem_backend", &["backend_type", "backend_path"], &[]),
    ("vsock_override", &["uds_path"], &[]),
    ("network_overrides", &["iface_id", "host_dev_name"], &[]),
];

/// What is wrong with a request's body, as the parser of Firecracker would find it.
pub fn body(method: &str, path: &str, body: &Value) -> Result<(), String> {
    let pattern = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => path.strip_prefix(start).is_some_and(|id| !id.is_empty()),
        None => pattern == path,
    };
    let known = BODIES.iter().find(|(m, p, ..)| *m == method && pattern(p));
    let Some((_, _, must, may)) = known else {
        return Err(format!("Invalid request method and/or path: {method} {path}."));
    };
    object(body, must, may)?;
    // The id is told twice, and must be the same.
    let id = path.rsplit('/').next().unwrap_or_default();
    for name in ["drive_id", "iface_id"] {
        match body.get(name).and_then(Value::as_str) {
            Some(told) if told != id => {
                return Err(format!("The path has the id {id}, the body has {told}."));
            }
            _ => {}
        }
    }
    Ok(())
}

fn object(value: &Value, must: &[&str], may: &[&str]) -> Result<(), String> {
    let Some(fields) = value.as_object() else {
        return Err("The body is not a JSON object.".to_owned());
    };
    for name in must {
        if !fields.contains_key(*name) {
            return Err(format!("missing field `{name}`"));
        }
    }
    for (name, inner) in fields {
        if !must.contains(&name.as_str()) && !may.contains(&name.as_str()) {
            return Err(format!("unknown field `{name}`"));
        }
        if let Some((_, must, may)) = PARTS.iter().find(|(part, ..)| part == name) {
            for inner in inner.as_array().map_or(std::slice::from_ref(inner), Vec::as_slice) {
                object(inner, must, may)?;
            }
        }
    }
    Ok(())
}
