//! `tool import-atk`: ATK's home becomes part of ours. It is only read.

use std::path::{Path, PathBuf};

use atelier_plugin::Plugin;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::add::{self, Manner};
use crate::context::Context;
use crate::home::{Change, Kind, Source, Writer, files, yaml};
use crate::source;
use crate::{Home, Result, Slug, ToolsError};

/// Takes over a `.env` of ATK's as the settings of a tool: the secret ones encrypted.
pub type Keep<'a> = &'a dyn Fn(&Slug, &Plugin, &Path) -> Result<Kept>;

/// What became of a `.env`.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// The settings that came along.
    pub names: Vec<String>,
    /// Those that can't be kept.
    pub refused: Vec<String>,
    /// The files of the home that were written.
    pub files: Vec<PathBuf>,
}

/// Where from, and whom to give settings.
pub struct ImportOptions<'a> {
    /// ATK's home; `$ATK_HOME` or `~/.atk`.
    pub from: PathBuf,
    /// The user's home folder, in which agents' files are looked at.
    pub user: PathBuf,
    /// Keeps settings.
    pub keep: Keep<'a>,
}

/// What became of all of it.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Import {
    /// Each tool.
    pub tools: Vec<Imported>,
    /// What ATK wrote into agents, which stays until ATK takes it back.
    pub wiring: Vec<Wiring>,
}

/// What became of one tool.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Imported {
    /// Its name.
    pub slug: String,
    /// Where it comes from now.
    pub source: String,
    /// Settings that came along.
    pub settings: Vec<String>,
    /// Files of `custom/` that came along.
    pub custom: Vec<String>,
    /// What else should be known.
    pub notes: Vec<String>,
    /// Why it did not come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<atelier_api::Problem>,
}

/// What ATK wrote into an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Wiring {
    /// The agent.
    pub agent: String,
    /// Its file.
    pub file: String,
    /// The tool, when the place names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
}

/// ATK's `manifest.yaml`; what every version of it has.
#[derive(Debug, Deserialize)]
struct AtkManifest {
    #[serde(default)]
    plugins: Vec<AtkPlugin>,
}

#[derive(Debug, Deserialize)]
struct AtkPlugin {
    #[serde(default)]
    name: String,
    directory: Option<String>,
    #[serde(default)]
    source: Option<AtkSource>,
}

#[derive(Debug, Default, Deserialize)]
struct AtkSource {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default, rename = "ref")]
    reference: Option<String>,
    #[serde(default)]
    url: Option<String>,
}

/// Imports. A tool that fails holds up no other; one that is here already is left alone.
///
/// # Errors
/// When there is no ATK home, or its manifest is not valid.
pub fn import_atk(
    home: &Home,
    options: &ImportOptions<'_>,
    context: &Context<'_>,
) -> Result<Import> {
    use atelier_api::Fault;
    let path = options.from.join("manifest.yaml");
    let text = files::read(&path)?.ok_or_else(|| ToolsError::Missing {
        what: "ATK home at",
        name: options.from.display().to_string(),
        known: Vec::new(),
    })?;
    let manifest: AtkManifest = yaml::typed(&text, "manifest.yaml").map_err(|problem| {
        ToolsError::Invalid { subject: path.display().to_string(), problems: vec![problem] }
    })?;
    let mut import = Import::default();
    for plugin in &manifest.plugins {
        let name = plugin.directory.clone().unwrap_or_else(|| plugin.name.clone());
        context.at("tool", &name)?;
        let mut imported = Imported { slug: name.clone(), ..Imported::default() };
        match one(home, options, plugin, &name, &mut imported, context) {
            Ok(()) => {}
            Err(ToolsError::Cancelled) => return Err(ToolsError::Cancelled),
            Err(error) => imported.failed = Some(error.problem()),
        }
        import.wiring.extend(wiring(&options.user, &name, &plugin.name));
        import.tools.push(imported);
    }
    import.wiring.extend(sections(&options.user));
    Ok(import)
}

fn one(
    home: &Home,
    options: &ImportOptions<'_>,
    plugin: &AtkPlugin,
    name: &str,
    imported: &mut Imported,
    context: &Context<'_>,
) -> Result<()> {
    let slug = name.parse::<Slug>().or_else(|_| Slug::of_name(name))?;
    imported.slug = slug.to_string();
    // The folder's name is ATK's; a slug can't lead out of it, and neither may a name that is none.
    let folder = options.from.join("plugins").join(slug.as_str());
    let writer = Writer::take(home, &format!("tool import-atk {slug}"), context)?;
    writer.ready(&["tools.yaml", "tools.lock.json"])?;
    let fetched_from = wanted(&writer, plugin, &slug, &folder);
    let change = Change::begin(&writer, None, format!("tool import-atk {slug}"))?;
    let scratch = change.folder().join("repo");
    let done = change.run(context, |change| {
        let mut fetched =
            match source::fetch(home, writer.manifest.wanted(), &fetched_from, &scratch, context) {
                Err(ToolsError::Fetch { why, .. }) if folder.join("plugin.yaml").exists() => {
                    imported.notes.push(format!(
                        "its source did not answer ({why}), so ATK's own copy was taken"
                    ));
                    source::fetch(
                        home,
                        writer.manifest.wanted(),
                        &copy(&folder),
                        &scratch,
                        context,
                    )?
                }
                other => other?,
            };
        // The commit stands in the lock; the manifest follows upstream, as ATK's did.
        if fetched.resolved.commit.is_some() {
            fetched.source.reference = None;
        }
        custom(change, &slug, &folder, imported)?;
        add::install(change, fetched, &slug, Manner { scripts: false, hooks: false }, context)
    });
    let (added, _) = done?;
    imported.source = format!("{} ({})", added.source, added.resolved.short());
    imported.notes.extend(added.notes);
    let installs = Plugin::load(&home.plugin(&slug))?;
    if installs.lifecycle.install.is_some() {
        imported
            .notes
            .push(format!("ATK's installation of it stays; ours: atelier tool install {slug}"));
    }
    settings(options, &writer, &slug, &folder, imported)
}

/// Where a plugin of ATK's comes from in our words.
fn wanted(writer: &Writer, plugin: &AtkPlugin, slug: &Slug, folder: &Path) -> Source {
    let note =
        files::read(&folder.join(".atk-ref")).ok().flatten().map(|text| text.trim().to_owned());
    let from = plugin.source.as_ref();
    let reference = note.filter(|n| !n.is_empty()).or_else(|| from?.reference.clone());
    let url = from.and_then(|s| s.url.clone());
    match (from.map(|s| s.kind.as_str()), url) {
        (Some("git"), Some(url)) => {
            Source { kind: Kind::Git, url: Some(url), reference, ..Source::default() }
        }
        (Some("registry"), url) => {
            let all = &writer.manifest.wanted().registries;
            let same = all.iter().find(|r| Some(&r.url) == url.as_ref()).or_else(|| all.first());
            Source {
                kind: Kind::Registry,
                registry: same.map(|r| r.name.clone()),
                name: Some(slug.to_string()),
                reference,
                ..Source::default()
            }
        }
        _ => copy(folder),
    }
}

fn copy(folder: &Path) -> Source {
    Source { kind: Kind::Path, path: Some(folder.display().to_string()), ..Source::default() }
}

/// The user's own files come along, in the same commit.
fn custom(
    change: &mut Change<'_>,
    slug: &Slug,
    folder: &Path,
    imported: &mut Imported,
) -> Result<()> {
    let mut folders = vec![PathBuf::new()];
    let root = folder.join("custom");
    while let Some(below) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&below)).into_iter().flatten().flatten() {
            let (path, kind) = (below.join(entry.file_name()), entry.file_type());
            if kind.as_ref().is_ok_and(std::fs::FileType::is_dir) {
                folders.push(path);
            } else if kind.is_ok_and(|kind| kind.is_file()) {
                use std::os::unix::fs::PermissionsExt;
                let from = entry.path();
                let bytes = std::fs::read(&from).map_err(ToolsError::file("read", &from))?;
                let mode = entry.metadata().map_or(0o644, |data| data.permissions().mode() & 0o755);
                let shown = path.display().to_string();
                let secret =
                    shown.ends_with(".env") || shown.contains("/.env") || shown.starts_with(".env");
                if secret {
                    imported
                        .notes
                        .push(format!("custom/{shown} was left out: it may hold secrets"));
                    continue;
                }
                change.put(&format!("plugins/{slug}/custom/{shown}"), &bytes, mode)?;
                imported.custom.push(shown);
            }
        }
    }
    imported.custom.sort();
    Ok(())
}

/// Settings come in a commit of their own: they are encrypted by others, when the tool is there.
fn settings(
    options: &ImportOptions<'_>,
    writer: &Writer,
    slug: &Slug,
    folder: &Path,
    imported: &mut Imported,
) -> Result<()> {
    let file = folder.join(".env");
    if !file.is_file() {
        return Ok(());
    }
    let plugin = Plugin::load(&writer.home.plugin(slug))?;
    let kept = (options.keep)(slug, &plugin, &file)?;
    let refused =
        kept.refused.iter().map(|name| format!("{name} was left out: no environment can hold it"));
    imported.notes.extend(refused);
    imported.settings = kept.names;
    super::record::commit(writer, &format!("tool import-atk {slug}: settings"), &kept.files)
        .map(drop)
}

/// Files in which agents keep MCP servers, and the names that ATK registered there: the plugins' names for people.
fn wiring(user: &Path, slug: &str, name: &str) -> Vec<Wiring> {
    const FILES: [(&str, &str); 5] = [
        ("claude", ".claude.json"),
        ("codex", ".codex/config.toml"),
        ("gemini", ".gemini/settings.json"),
        ("auggie", ".augment/settings.json"),
        ("opencode", ".config/opencode/opencode.jsonc"),
    ];
    let mut found = Vec::new();
    for (agent, file) in FILES {
        let path = user.join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let keys = [
            format!("\"{name}\":"),
            format!("\"{name}\" :"),
            format!("[mcp_servers.{name}]"),
            format!("[mcp_servers.\"{name}\"]"),
        ];
        let skill = format!("plugins/{slug}/SKILL.md");
        if !name.is_empty() && (keys.iter().any(|key| text.contains(key)) || text.contains(&skill))
        {
            found.push((agent, path));
        }
    }
    for (agent, link) in [
        ("gemini", format!(".gemini/skills/atk-{slug}")),
        ("auggie", format!(".augment/rules/atk-{slug}.md")),
    ] {
        let path = user.join(link);
        if files::exists(&path) {
            found.push((agent, path));
        }
    }
    let wiring = |(agent, path): (&str, PathBuf)| Wiring {
        agent: agent.to_owned(),
        file: path.display().to_string(),
        tool: Some(slug.to_owned()),
    };
    found.into_iter().map(wiring).collect()
}

/// The sections that ATK keeps in agents' instructions.
fn sections(user: &Path) -> Vec<Wiring> {
    let files = [("claude", ".claude/CLAUDE.md"), ("codex", ".codex/AGENTS.md")];
    let has = |path: &PathBuf| {
        std::fs::read_to_string(path).is_ok_and(|text| text.contains("<!-- ATK:BEGIN"))
    };
    let all = files.into_iter().map(|(agent, file)| (agent, user.join(file)));
    let all = all.filter(|(_, path)| has(path));
    all.map(|(agent, path)| Wiring {
        agent: agent.into(),
        file: path.display().to_string(),
        tool: None,
    })
    .collect()
}
