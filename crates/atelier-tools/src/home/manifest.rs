//! `tools.yaml`: what the user wants installed, from where. Read with the place of each mistake; changed so that
//! comments, and keys that a newer Atelier knows, stay.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{edit, files, yaml};
use crate::{Home, Problem, Result, Slug, ToolsError};

/// The schema that this Atelier writes.
pub const SCHEMA: &str = "atelier-tools/1";
/// ATK's public registry, the one that a new home begins with.
pub const PUBLIC_REGISTRY: &str = "https://github.com/Svtoo/atk-registry";

/// Where a tool comes from, as the user wants it; what that was resolved to stands in the lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// What kind of place.
    pub kind: Kind,
    /// The registry's name (`registry`, `mcp-registry`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// The name there, where it is not the slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The repository (`git`), or the registry's base (`mcp-registry`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Branch, tag, commit or semver range over tags.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The folder in the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subdir: Option<String>,
    /// The folder or file on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The version (`mcp-registry`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Kinds of places that tools come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A registry of plugins.
    #[default]
    Registry,
    /// A git repository.
    Git,
    /// A folder on this machine, copied.
    Path,
    /// A `server.json`, from the official MCP Registry or a file.
    McpRegistry,
}

/// A registry: of plugins, or of MCP servers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Registry {
    /// What it is called here.
    pub name: String,
    /// How it is asked.
    #[serde(default, skip_serializing_if = "RegistryKind::is_git")]
    pub kind: RegistryKind,
    /// Its git repository, or where its API begins.
    pub url: String,
    /// Its branch or tag; its default branch otherwise.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The minisign public key that its index is signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Kinds of registries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RegistryKind {
    /// A git repository with an `index.yaml`.
    #[default]
    Git,
    /// The API of the official MCP Registry.
    Mcp,
}

impl RegistryKind {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    fn is_git(&self) -> bool {
        *self == Self::Git
    }
}

/// A tool that is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// Where it comes from.
    pub source: Source,
}

/// What happens by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// Each change is a commit.
    pub commit: bool,
    /// Each commit is pushed.
    pub push: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { commit: true, push: false }
    }
}

/// What `tools.yaml` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "tools.yaml of Atelier", extend("$id" = "urn:atelier:schema:tools:1"))]
pub struct Wanted {
    /// Always `atelier-tools/1`.
    pub schema_version: String,
    /// Registries, the first is asked first.
    #[serde(default)]
    pub registries: Vec<Registry>,
    /// The profile in use; without one every tool is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Named sets of tools.
    #[serde(default)]
    pub profiles: BTreeMap<String, Vec<String>>,
    /// The age public keys that secrets are encrypted to.
    #[serde(default)]
    pub recipients: Vec<String>,
    /// What happens by itself.
    #[serde(default)]
    pub settings: Settings,
    /// The tools.
    #[serde(default)]
    pub tools: BTreeMap<Slug, Tool>,
}

/// The JSON Schema of `tools.yaml`, for editors and other programs.
#[must_use]
pub fn json_schema() -> Value {
    schemars::schema_for!(Wanted).to_value()
}

/// `tools.yaml` with its text.
#[derive(Debug, Clone)]
pub struct Manifest {
    text: String,
    value: Value,
    wanted: Wanted,
}

const TEMPLATE: &str = "\
# The tools of this home. `atelier tool` changes this file and commits it; so may you.
schema_version: atelier-tools/1
registries:
";

impl Manifest {
    /// The manifest of a new home.
    ///
    /// # Errors
    /// When `registry` is no URL that YAML could hold.
    pub fn template(registry: &str) -> Result<Self> {
        let list = edit::emit(&json!({"registries": [{"name": "default", "url": registry}]}));
        let list = list.strip_prefix("registries:\n").unwrap_or(&list);
        Self::parse(&format!(
            "{TEMPLATE}{list}settings:\n  commit: true\n  push: false\ntools: {{}}\n"
        ))
    }

    /// Reads a home's manifest.
    ///
    /// # Errors
    /// [`ToolsError::NoHome`], and [`ToolsError::Invalid`] with line and column.
    pub fn read(home: &Home) -> Result<Self> {
        let text = files::read(&home.manifest_file())?;
        Self::parse(&text.ok_or_else(|| ToolsError::NoHome(home.root().to_owned()))?)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// [`ToolsError::Invalid`] with everything that is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |problems| ToolsError::Invalid { subject: "tools.yaml".into(), problems };
        let wanted: Wanted = yaml::typed(text, "tools.yaml")
            .map_err(|problem| invalid(vec![conflicted(text, problem)]))?;
        let value = yaml::value(text).map_err(|problem| invalid(vec![problem]))?;
        let problems = problems(&wanted);
        match problems.is_empty() {
            true => Ok(Self { text: text.to_owned(), value, wanted }),
            false => Err(invalid(problems)),
        }
    }

    /// What it says.
    #[must_use]
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// As it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same with a change, everything else as it was.
    ///
    /// # Errors
    /// When what comes out is no valid manifest.
    pub fn with(&self, change: impl FnOnce(&mut Value)) -> Result<Self> {
        let mut value = self.value.clone();
        change(&mut value);
        Self::parse(&edit::edit(&self.text, &self.value, &value))
    }

    /// The same with a tool.
    ///
    /// # Errors
    /// As [`Self::with`].
    pub fn with_tool(&self, slug: &Slug, tool: &Tool) -> Result<Self> {
        let tool = serde_json::to_value(tool).unwrap_or_default();
        self.with(|value| merge(&mut value["tools"][slug.as_str()], tool))
    }

    /// The same without a tool, in profiles too.
    ///
    /// # Errors
    /// As [`Self::with`].
    pub fn without_tool(&self, slug: &Slug) -> Result<Self> {
        self.with(|value| {
            if let Some(tools) = value["tools"].as_object_mut() {
                tools.remove(slug.as_str());
            }
            for (_, list) in value["profiles"].as_object_mut().into_iter().flatten() {
                if let Some(list) = list.as_array_mut() {
                    list.retain(|item| item.as_str() != Some(slug.as_str()));
                }
            }
            if value["profiles"].is_null() {
                value.as_object_mut().map(|v| v.remove("profiles"));
            }
        })
    }
}

/// Sets what is given; keys of an entry that this version does not know stay.
fn merge(into: &mut Value, value: Value) {
    match value {
        Value::Object(map) if into.is_object() => {
            for (key, value) in map {
                // A source is one thing: another kind keeps nothing of the old one.
                if key == "source" { into[key] = value } else { merge(&mut into[key], value) }
            }
        }
        other => *into = other,
    }
}

fn conflicted(text: &str, problem: Problem) -> Problem {
    match text.lines().position(|line| line.starts_with("<<<<<<< ")) {
        None => problem,
        Some(at) => Problem {
            line: Some(at as u64 + 1),
            column: Some(1),
            message: "two versions of it were merged and nobody chose yet".into(),
            hint: Some("choose, then: atelier tool git commit -a".into()),
            ..problem
        },
    }
}

fn problems(wanted: &Wanted) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut say = |message: String| problems.push(Problem::of("tools.yaml", message));
    if wanted.schema_version != SCHEMA {
        say(format!(
            "schema_version is `{}`; this Atelier knows `{SCHEMA}`",
            wanted.schema_version
        ));
    }
    for (at, registry) in wanted.registries.iter().enumerate() {
        if registry.name.parse::<Slug>().is_err() {
            say(format!("`{}` is no name of a registry", registry.name));
        }
        if registry.kind == RegistryKind::Mcp
            && (registry.key.is_some() || registry.reference.is_some())
        {
            say(format!(
                "the registry `{}` is an API, which has no `ref` and no `key`",
                registry.name
            ));
        }
        if wanted.registries[..at].iter().any(|r| r.name == registry.name) {
            say(format!("the registry `{}` is there twice", registry.name));
        }
    }
    for (slug, tool) in &wanted.tools {
        let source = &tool.source;
        let lacks = match source.kind {
            Kind::Registry => source.registry.is_none().then_some("registry"),
            Kind::Git => source.url.is_none().then_some("url"),
            Kind::Path => source.path.is_none().then_some("path"),
            Kind::McpRegistry => (source.url.is_none() && source.path.is_none()).then_some("url"),
        };
        if let Some(key) = lacks {
            say(format!("tools.{slug}.source has no `{key}`"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_home_says_where_it_looks() {
        let manifest = Manifest::template(PUBLIC_REGISTRY).unwrap();
        assert_eq!(manifest.wanted().registries[0].url, PUBLIC_REGISTRY);
        assert!(manifest.wanted().settings.commit && manifest.wanted().tools.is_empty());
    }

    #[test]
    fn a_tool_comes_and_goes_and_the_text_is_the_old_one() {
        let text = "schema_version: atelier-tools/1\nfuture: {x: 1} # kept\ntools:\n  exa: # mine\n    source: {kind: git, url: u}\n    note: hand-made\n";
        let manifest = Manifest::parse(text).unwrap();
        let slug: Slug = "notion".parse().unwrap();
        let source = Source { registry: Some("default".into()), ..Source::default() };
        let with = manifest.with_tool(&slug, &Tool { source }).unwrap();
        assert!(with.text().starts_with(text) && with.wanted().tools.contains_key(&slug));
        assert_eq!(with.without_tool(&slug).unwrap().text(), text);
    }

    #[test]
    fn a_mistake_has_its_line_and_column() {
        let error =
            Manifest::parse("schema_version: atelier-tools/1\ntools:\n  notion: [\n").unwrap_err();
        assert!(error.to_string().contains("tools.yaml:"), "{error}");
        let error = Manifest::parse("schema_version: x/2\ntools:\n  a/b: {source: {kind: git}}\n")
            .unwrap_err();
        assert!(error.to_string().contains("tools.yaml:3:3"), "{error}");
        let error = Manifest::parse("<<<<<<< HEAD\n=======\n").unwrap_err();
        assert!(error.to_string().contains("merged"), "{error}");
    }

    #[test]
    fn an_unknown_schema_and_half_sources_are_told_together() {
        let text = "schema_version: atelier-tools/9\ntools:\n  one: {source: {kind: git}}\n  two: {source: {kind: path}}\n";
        let ToolsError::Invalid { problems, .. } = Manifest::parse(text).unwrap_err() else {
            panic!()
        };
        assert_eq!(problems.len(), 3, "{problems:?}");
    }
}
