//! `tool validate`: everything that is wrong with a plugin, before anybody adds it.

use std::path::Path;

use atelier_plugin::{Plugin, PluginError};
use schemars::JsonSchema;
use serde::Serialize;

use super::report;
use crate::context::{Context, Plan};
use crate::source::Tree;
use crate::{Problem, Result, ToolsError, packages};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Validated {
    /// The folder.
    pub path: String,
    /// Nothing is wrong.
    pub valid: bool,
    /// Everything that is.
    pub problems: Vec<Problem>,
    /// What could be better.
    pub notes: Vec<String>,
    /// What it runs and needs, as `add` will show it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// The SHA-256 over its files, for the index of a signed registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Looks at a plugin's folder.
///
/// # Errors
/// Only when the folder can't be read; what is wrong with the plugin is in the value.
pub fn validate(path: &Path, context: &Context<'_>) -> Result<Validated> {
    if !path.exists() {
        return Err(ToolsError::Missing {
            what: "folder",
            name: path.display().to_string(),
            known: Vec::new(),
        });
    }
    let (mut problems, mut notes) = (Vec::new(), Vec::new());
    let tree = match Tree::of_folder(path, context) {
        Ok(tree) => Some(tree),
        Err(ToolsError::Invalid { problems: all, .. }) => {
            problems.extend(all);
            None
        }
        Err(error @ ToolsError::Limit { .. }) => {
            problems.push(Problem::of(".", error.to_string()));
            None
        }
        Err(error) => return Err(error),
    };
    let plugin = match Plugin::load(path) {
        Ok(plugin) => Some(plugin),
        Err(error) => {
            problems.extend(self::problems(&error, path));
            None
        }
    };
    let mut plan = None;
    if let (Some(plugin), Some(tree)) = (&plugin, &tree) {
        problems.extend(missing_scripts(plugin, tree));
        notes.extend(tree.notes.iter().cloned());
        let wants = packages::find(plugin, tree);
        let slug = crate::Slug::of_name(&plugin.name)?;
        let found =
            report::plan("add", slug.as_str(), format!("path {}", path.display()), plugin, &wants);
        notes.extend(found.unpinned.iter().map(|what| format!("not pinned: {what}")));
        plan = Some(found);
    }
    Ok(Validated {
        path: path.display().to_string(),
        valid: problems.is_empty(),
        problems,
        notes,
        plan,
        sha256: tree.map(|tree| tree.digest()),
    })
}

/// A plugin's findings as problems, their files relative to its folder.
pub(super) fn problems(error: &PluginError, root: &Path) -> Vec<Problem> {
    let findings = error.findings();
    if findings.is_empty() {
        return vec![Problem::of("plugin.yaml", error.to_string())];
    }
    let problem = |finding: &atelier_plugin::Finding| {
        let file = finding.file.strip_prefix(root).unwrap_or(&finding.file);
        let message = match finding.key.is_empty() {
            true => finding.message.clone(),
            false => format!("`{}`: {}", finding.key, finding.message),
        };
        Problem {
            file: file.display().to_string(),
            line: Some(finding.line),
            column: Some(finding.column),
            message,
            hint: finding.hint.clone(),
        }
    };
    findings.iter().map(problem).collect()
}

/// Scripts that a command names and that are not there.
fn missing_scripts(plugin: &Plugin, tree: &Tree) -> Vec<Problem> {
    let life = &plugin.lifecycle;
    let named = [
        ("install", &life.install),
        ("uninstall", &life.uninstall),
        ("start", &life.start),
        ("stop", &life.stop),
        ("logs", &life.logs),
        ("status", &life.status),
    ];
    let lines = named.into_iter().filter_map(|(hook, line)| Some((hook, line.as_deref()?)));
    let scripts = lines.flat_map(|(hook, line)| {
        let words =
            line.split_whitespace().map(|w| w.trim_start_matches("./").trim_matches(['"', '\'']));
        words
            .filter(|w| w.ends_with(".sh") && !w.contains(['$', '/', '=', ';', '&']))
            .map(move |w| (hook, w.to_owned()))
    });
    scripts
        .filter(|(_, script)| !tree.files.contains_key(script))
        .map(|(hook, script)| {
            Problem::of(
                "plugin.yaml",
                format!("lifecycle.{hook} runs {script}, which is not there"),
            )
        })
        .collect()
}
