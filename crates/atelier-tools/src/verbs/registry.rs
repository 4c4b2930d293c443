//! `tool registry`: where names are looked up.

use atelier_plugin::Slug;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::context::Context;
use crate::home::{Change, Manifest, Registry, RegistryKind, Writer, files};
use crate::source::{self, Freshness};
use crate::{Home, Result, ToolsError};

/// A registry, and what is known of it here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Known {
    /// As `tools.yaml` has it.
    #[serde(flatten)]
    pub registry: Registry,
    /// How many tools its cached index has; nothing for an API, which has no index.
    pub tools: Option<usize>,
    /// How old that is, in seconds.
    pub age: Option<i64>,
    /// How many tools of it are installed.
    pub used: usize,
}

/// All registries, in the order in which they are asked.
///
/// # Errors
/// [`ToolsError::NoHome`].
pub fn registry_ls(home: &Home, context: &Context<'_>) -> Result<Vec<Known>> {
    let manifest = Manifest::read(home)?;
    let known = |registry: &Registry| {
        let index = match registry.kind {
            RegistryKind::Git => source::index(home, registry, Freshness::Cached, context).ok(),
            RegistryKind::Mcp => None,
        };
        let (tools, age) = (index.as_ref().map(|i| i.plugins.len()), index.as_ref().map(|i| i.age));
        Known {
            used: users(&manifest, &registry.name).len(),
            registry: registry.clone(),
            tools,
            age,
        }
    };
    Ok(manifest.wanted().registries.iter().map(known).collect())
}

/// Adds a registry, after its index was read and, with a key, its signature checked; of an API, after it answered.
///
/// # Errors
/// [`ToolsError::Exists`], and whatever keeps its index from being read.
pub fn registry_add(home: &Home, registry: &Registry, context: &Context<'_>) -> Result<Known> {
    let name = registry.name.parse::<Slug>().map_err(|_| {
        ToolsError::Usage(format!(
            "`{}` is no name of a registry: lower-case letters and digits with single hyphens between, a letter first, 2 to 64 characters",
            registry.name
        ))
    })?;
    source::no_password(&registry.url)?;
    let writer = Writer::take(home, &format!("tool registry add {name}"), context)?;
    writer.ready(&["tools.yaml"])?;
    if writer.manifest.wanted().registries.iter().any(|r| r.name == registry.name) {
        return Err(ToolsError::Exists { what: "registry", name: name.to_string() });
    }
    let index = match registry.kind {
        RegistryKind::Git => Some(source::index(home, registry, Freshness::Now, context)?),
        RegistryKind::Mcp => {
            source::mcp_index::probe(registry, context)?;
            None
        }
    };
    let value = serde_json::to_value(registry).unwrap_or_default();
    let manifest = writer.manifest.with(|m| {
        if !m["registries"].is_array() {
            m["registries"] = json!([]);
        }
        if let Some(list) = m["registries"].as_array_mut() {
            list.push(value);
        }
    })?;
    save(&writer, &manifest, format!("tool registry add {name}"), context)?;
    Ok(Known {
        registry: registry.clone(),
        tools: index.as_ref().map(|index| index.plugins.len()),
        age: index.as_ref().map(|index| index.age),
        used: 0,
    })
}

/// Removes a registry that no tool comes from.
///
/// # Errors
/// [`ToolsError::Missing`]; [`ToolsError::Usage`] when it is used.
pub fn registry_remove(home: &Home, name: &str, context: &Context<'_>) -> Result<()> {
    let writer = Writer::take(home, &format!("tool registry remove {name}"), context)?;
    writer.ready(&["tools.yaml"])?;
    let wanted = writer.manifest.wanted();
    if !wanted.registries.iter().any(|r| r.name == name) {
        let known = wanted.registries.iter().map(|r| r.name.clone()).collect();
        return Err(ToolsError::Missing { what: "registry", name: name.to_string(), known });
    }
    let users = users(&writer.manifest, name);
    if !users.is_empty() {
        return Err(ToolsError::Other {
            code: "tool.registry_used",
            exit: atelier_api::ExitCode::Conflict,
            message: format!("{} came from the registry {name}", users.join(", ")),
            hints: vec!["remove these tools first".into()],
        });
    }
    let manifest = writer.manifest.with(|m| {
        if let Some(list) = m["registries"].as_array_mut() {
            list.retain(|r| r["name"] != json!(name));
        }
    })?;
    save(&writer, &manifest, format!("tool registry remove {name}"), context)?;
    files::remove(&home.cache().join("registries").join(name))
}

fn users(manifest: &Manifest, name: &str) -> Vec<String> {
    let all = manifest.wanted().tools.iter();
    all.filter(|(_, tool)| tool.source.registry.as_deref() == Some(name))
        .map(|(slug, _)| slug.to_string())
        .collect()
}

/// A change of the manifest alone.
pub(super) fn save(
    writer: &Writer,
    manifest: &Manifest,
    message: String,
    context: &Context<'_>,
) -> Result<Option<String>> {
    let change = Change::begin(writer, None, message)?;
    let ((), commit) = change.run(context, |change| {
        change.put_home(manifest, &writer.lock)?;
        change.place(context)
    })?;
    Ok(commit)
}
