//! What several verbs say in the same words.

use atelier_plugin::{Maturity, Plugin};

use crate::context::Plan;
use crate::home::{LockedPackage, PackageKind, Resolved, Source};
use crate::packages::Wants;
use crate::source;

/// Where a tool comes from, with what it was resolved to: `registry default, 1a2b3c4`.
pub(super) fn from(source: &Source, resolved: &Resolved) -> String {
    match resolved.short().as_str() {
        "local files" => source::describe(source),
        short => format!("{}, {short}", source::describe(source)),
    }
}

/// `npm @notionhq/notion-mcp-server 1.9.0`.
pub(super) fn package(package: &LockedPackage) -> String {
    format!("{} {} {}", kind(package.kind), package.name, package.version)
}

fn kind(kind: PackageKind) -> &'static str {
    match kind {
        PackageKind::Npm => "npm",
        PackageKind::Pypi => "PyPI",
        PackageKind::Oci => "image",
    }
}

/// What a person is asked to agree to.
pub(super) fn plan(
    action: &str,
    slug: &str,
    source: String,
    plugin: &Plugin,
    wants: &Wants,
) -> Plan {
    let life = &plugin.lifecycle;
    let mut runs = Vec::new();
    for (hook, line) in
        [("install", &life.install), ("start", &life.start), ("uninstall", &life.uninstall)]
    {
        runs.extend(line.iter().map(|line| format!("{hook}: {line}")));
    }
    if let Some(mcp) = &plugin.mcp {
        let words = mcp.command.iter().chain(&mcp.args).cloned().collect::<Vec<_>>().join(" ");
        let endpoint = mcp.endpoint.clone().unwrap_or_default();
        runs.push(format!("mcp: {}", if words.is_empty() { endpoint } else { words }));
    }
    let found = wants.found.iter().map(|f| {
        format!("{} {} {}", kind(f.kind), f.name, f.wants.as_deref().unwrap_or("(newest)"))
    });
    let needed = plugin.env_vars.iter().filter(|v| v.required && v.default.is_none());
    Plan {
        slug: slug.to_owned(),
        action: action.to_owned(),
        source,
        description: plugin.description.clone(),
        maturity: maturity(plugin.maturity).to_owned(),
        runs,
        packages: found.collect(),
        unpinned: wants.unpinned.iter().map(|u| format!("{}: {}", u.what, u.why)).collect(),
        needs: needed.map(|v| v.name.clone()).collect(),
        ports: plugin.ports.iter().map(|p| p.port).collect(),
        files: Vec::new(),
        notes: Vec::new(),
    }
}

pub(super) fn maturity(maturity: Maturity) -> &'static str {
    match maturity {
        Maturity::AiGenerated => "ai-generated",
        Maturity::Community => "community",
        Maturity::Verified => "verified",
    }
}
