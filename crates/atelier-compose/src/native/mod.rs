//! The loader of our own, for hosts without a Compose tool: the common subset, and a refusal of
//! the rest that names file, line and key.

mod at;
mod build;
mod deploy;
mod finish;
mod kept;
mod merge;
mod mounts;
mod nested;
pub(crate) mod places;
mod ports;
mod resources;
mod service;
pub(crate) mod units;
mod vars;
mod yaml;

use std::path::Path;

use serde_json::{Map, Value};

use self::at::At;
use self::finish::Draft;
use self::mounts::Paths;
use self::yaml::{Node, Yaml};
use crate::error::{ComposeError, Result};
use crate::model::Model;
use crate::project::Project;
use crate::request::{Request, find};

pub(crate) fn load(request: &Request) -> Result<Model> {
    let files =
        find(request)?.ok_or_else(|| ComposeError::NoProject { folder: request.folder.clone() })?;
    let mut project = Project::new(request)?;
    let directory = files[0].parent().unwrap_or(&project.folder).to_owned();
    if directory != project.folder && request.env_files.is_empty() {
        project.dot_env(&directory)?;
    }
    let mut trees = Vec::new();
    for file in &files {
        let mut documents = yaml::read(file)?;
        if documents.len() > 1 {
            let at = At::top(file).down("---", documents[1].place);
            return Err(at.unsupported("more than one document in a file"));
        }
        match documents.pop() {
            Some(tree) => trees.push((file.as_path(), tree)),
            None => {
                return Err(At::top(file).down("services", (1, 1)).invalid("the file is empty"));
            }
        }
    }
    let name = project_name(request, &project, &trees, &directory)?;
    project.variables.insert("COMPOSE_PROJECT_NAME".to_owned(), name.clone());
    let home = project.variables.get("HOME").cloned();
    let paths = Paths { directory: &directory, home: home.as_deref() };
    let variables = project.variables.clone();
    let mut draft = Draft { name, variables, ..Draft::default() };
    for (file, mut tree) in trees {
        let lookup = |name: &str| project.variables.get(name).cloned();
        vars::fill(&At::top(file), &mut tree, &lookup)?;
        add(&mut draft, file, &tree, &paths)?;
    }
    let mut profiles = request.profiles.clone();
    if let Some(more) = project.variables.get("COMPOSE_PROFILES") {
        profiles.extend(more.split(',').map(|p| p.trim().to_owned()));
    }
    Ok(Model(draft.finish(&profiles)?))
}

/// Adds one file's sections.
fn add(draft: &mut Draft, file: &Path, tree: &Node, paths: &Paths<'_>) -> Result<()> {
    let top = At::top(file);
    for (key, value) in top.map(tree)? {
        let at = top.down(&key.name, key.place);
        match key.name.as_str() {
            "name" => drop(at.text(value)?),
            "version" => drop(at.text(value)?),
            "services" => {
                for (key, value) in at.names(value)? {
                    let at = at.down(&key.name, key.place);
                    let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
                    if key.name.is_empty() || !key.name.chars().all(good) {
                        return Err(at.invalid("is no name of a service"));
                    }
                    let new = service::read(&at, value, paths)?;
                    let mut one = Map::new();
                    one.insert(key.name.clone(), Value::Object(new));
                    merge::lay(&mut draft.services, one);
                }
            }
            "networks" => merge::lay(&mut draft.networks, resources::read(&at, value, true)?),
            "volumes" => merge::lay(&mut draft.volumes, resources::read(&at, value, false)?),
            "secrets" => merge::lay(&mut draft.secrets, kept::read(&at, value, paths)?),
            "configs" => merge::lay(&mut draft.configs, kept::read(&at, value, paths)?),
            _ if !["include", "models"].contains(&key.name.as_str()) => {
                return Err(at.invalid("Compose knows no such key"));
            }
            _ => return Err(at.unknown()),
        }
    }
    Ok(())
}

/// The project's name by the request, the environment, the files, or the folder.
fn project_name(
    request: &Request,
    project: &Project,
    trees: &[(&Path, Node)],
    directory: &Path,
) -> Result<String> {
    let good = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c))
    };
    let wrong = |name: &str| ComposeError::invalid(format!("invalid project name {name:?}"));
    let mut in_files = None;
    for (file, tree) in trees {
        let Some((key, node)) = tree.get("name") else { continue };
        let at = At::top(file).down("name", key.place);
        let Yaml::Text(text) = &node.value else { return Err(at.invalid("must be a string")) };
        let lookup = |name: &str| project.variables.get(name).cloned();
        let text = crate::interpolate::interpolate(text, &lookup).map_err(|e| at.invalid(e))?;
        in_files = Some(text);
    }
    let named = Some(request.project_name.clone()).filter(|n| !n.is_empty());
    let variable =
        || project.variables.get("COMPOSE_PROJECT_NAME").cloned().filter(|n| !n.is_empty());
    if let Some(name) = named.or_else(variable) {
        return if good(&name) { Ok(name) } else { Err(wrong(&name)) };
    }
    let folder = || {
        let name = directory.file_name().map(|n| n.to_string_lossy().to_lowercase());
        let name: String = name
            .unwrap_or_default()
            .chars()
            .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(*c))
            .collect();
        name.trim_start_matches(['-', '_']).to_owned()
    };
    let name = in_files.unwrap_or_else(folder);
    if good(&name) { Ok(name) } else { Err(wrong(&name)) }
}
