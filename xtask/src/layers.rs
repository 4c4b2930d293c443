//! Arrows point down: a crate may depend on crates of lower layers only, parts never on one
//! another, and a heavy dependency has one owner. ARCHITECTURE.md draws the same.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

/// The layers, the lowest first. Crates of one layer don't know each other.
const LAYERS: &[&[&str]] = &[
    &["atelier-api", "atelier-yaml", "atelier-files", "atelier-wire"],
    &[
        "atelier-config",
        "atelier-store",
        "atelier-net",
        "atelier-launch",
        "atelier-image",
        "atelier-dns",
        "atelier-compose",
        "atelier-ingress",
        "atelier-sftp",
        "atelier-plugin",
        "atelier-agents",
        "atelier-mcp",
    ],
    &[
        "atelier-auth",
        "atelier-guest",
        "atelier-egress",
        "atelier-engine",
        "atelier-far",
        "atelier-tools",
    ],
    &["atelier-vm", "atelier-ssh", "atelier-e2b"],
    &["atelier-sandbox", "atelier-environment", "atelier-toolrun"],
    &["atelier-run"],
    &["atelier-server", "atelier-client"],
    &["atelier-cli"],
    &["atelier"],
];

/// What only sees the API and its own side, though it stands high.
const ONLY: &[(&str, &[&str])] = &[
    // Of the guest it sees the client and the protocol.
    ("atelier-client", &["atelier-api", "atelier-config", "atelier-guest"]),
    (
        "atelier-cli",
        &[
            "atelier-api",
            "atelier-config",
            "atelier-client",
            "atelier-far",
            "atelier-agents",
            "atelier-mcp",
            "atelier-plugin",
            "atelier-tools",
            "atelier-toolrun",
        ],
    ),
];

/// Heavy dependencies with the crates that may name them.
const OWNERS: &[(&str, &[&str])] = &[
    (
        "sqlx",
        &["atelier-store", "atelier-auth", "atelier-sandbox", "atelier-run", "atelier-toolrun"],
    ),
    ("axum", &["atelier-server", "atelier-e2b"]),
    (
        "rustls",
        &["atelier-ingress", "atelier-egress", "atelier-image", "atelier-mcp", "atelier-tools"],
    ),
    ("russh", &["atelier-ssh"]),
    ("reqwest", &["atelier-image", "atelier-mcp", "atelier-tools"]),
    ("rmcp", &["atelier-mcp"]),
    ("bollard", &["atelier-engine"]),
    ("clap", &["atelier-cli"]),
    ("smoltcp", &["atelier-net"]),
    ("ipstack", &["atelier-net"]),
    ("seccompiler", &["atelier-launch"]),
    (
        "serde-saphyr",
        &[
            "atelier-config",
            "atelier-environment",
            "atelier-compose",
            "atelier-yaml",
            "atelier-plugin",
            "atelier-agents",
            "atelier-tools",
            "atelier-toolrun",
        ],
    ),
    ("minisign-verify", &["atelier-tools"]),
    ("age", &["atelier-toolrun"]),
];

/// What is wrong with the arrows.
pub fn check() -> Result<Vec<String>> {
    let graph = graph()?;
    let mut findings = Vec::new();
    for (name, dependencies) in &graph {
        let Some(own) = layer(name) else {
            if name != "xtask" && name != "atelier-testing" && name != "atelier-e2e" {
                findings.push(format!("{name} stands in no layer: xtask/src/layers.rs"));
            }
            continue;
        };
        let allowed = ONLY.iter().find(|(n, _)| n == name).map(|(_, only)| *only);
        for dependency in dependencies {
            if let Some(other) = layer(dependency) {
                let refused = allowed.is_some_and(|only| !only.contains(&dependency.as_str()));
                if other >= own || refused {
                    findings.push(format!("{name} may not depend on {dependency}"));
                }
            }
            let owners = OWNERS.iter().find(|(d, _)| d == dependency).map(|(_, owners)| *owners);
            if owners.is_some_and(|owners| !owners.contains(&name.as_str())) {
                findings.push(format!("{dependency} has owners, and {name} is none of them"));
            }
        }
    }
    Ok(findings)
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

/// Each member with what it is built from; tests may use more.
fn graph() -> Result<BTreeMap<String, Vec<String>>> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .output()
        .context("cargo metadata")?;
    let metadata: Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata's JSON")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut graph = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let built_from = package["dependencies"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|d| d["kind"].is_null())
            .map(|d| text(&d["name"]))
            .collect();
        graph.insert(text(&package["name"]), built_from);
    }
    Ok(graph)
}
