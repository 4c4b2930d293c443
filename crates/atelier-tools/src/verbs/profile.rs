//! `tool profile`: named sets of tools. The one in use says which are wired and started.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::registry::save;
use crate::context::Context;
use crate::home::{Manifest, Writer};
use crate::{Home, Result, Slug, ToolsError};

/// A profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Its tools.
    pub tools: Vec<String>,
    /// It is in use.
    pub active: bool,
}

/// All profiles.
///
/// # Errors
/// [`ToolsError::NoHome`].
pub fn profile_ls(home: &Home) -> Result<Vec<Profile>> {
    let manifest = Manifest::read(home)?;
    let wanted = manifest.wanted();
    let profile = |(name, tools): (&String, &Vec<String>)| Profile {
        name: name.clone(),
        tools: tools.clone(),
        active: wanted.profile.as_ref() == Some(name),
    };
    Ok(wanted.profiles.iter().map(profile).collect())
}

/// Makes a profile of installed tools, or gives an existing one other tools.
///
/// # Errors
/// [`ToolsError::Unknown`] for a tool that is not installed.
pub fn profile_create(
    home: &Home,
    name: &str,
    tools: &[String],
    context: &Context<'_>,
) -> Result<Profile> {
    let name: Slug = name.parse()?;
    let writer = Writer::take(home, &format!("tool profile create {name}"), context)?;
    writer.ready(&["tools.yaml"])?;
    let wanted = writer.manifest.wanted();
    for tool in tools {
        if !wanted.tools.contains_key(&tool.parse()?) {
            let known = wanted.tools.keys().map(ToString::to_string).collect();
            return Err(ToolsError::Unknown { name: tool.clone(), known });
        }
    }
    let active = wanted.profile.as_deref() == Some(name.as_str());
    let manifest = writer.manifest.with(|m| m["profiles"][name.as_str()] = json!(tools))?;
    save(&writer, &manifest, format!("tool profile create {name}"), context)?;
    Ok(Profile { name: name.to_string(), tools: tools.to_vec(), active })
}

/// Puts a profile into use; none means all tools.
///
/// # Errors
/// [`ToolsError::Missing`].
pub fn profile_use(home: &Home, name: Option<&str>, context: &Context<'_>) -> Result<()> {
    let shown = name.unwrap_or("none");
    let writer = Writer::take(home, &format!("tool profile use {shown}"), context)?;
    writer.ready(&["tools.yaml"])?;
    let profiles = &writer.manifest.wanted().profiles;
    if let Some(name) = name.filter(|name| !profiles.contains_key(*name)) {
        let known = profiles.keys().cloned().collect();
        return Err(ToolsError::Missing { what: "profile", name: name.to_owned(), known });
    }
    let manifest = writer.manifest.with(|m| match (name, m.as_object_mut()) {
        (Some(name), _) => m["profile"] = json!(name),
        (None, Some(map)) => drop(map.remove("profile")),
        (None, None) => {}
    })?;
    save(&writer, &manifest, format!("tool profile use {shown}"), context).map(drop)
}
