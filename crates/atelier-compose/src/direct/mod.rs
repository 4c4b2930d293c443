//! A rewritten project as an engine is told of it without Compose: which images, volumes and
//! containers, and who waits for whom. What is said here is all that will be done: a key that has
//! no meaning here is refused.
//!
//! What must not live here: the engine's calls, and environments.

mod body;
mod build;
mod files;
mod limits;
mod mounts;
mod reach;
mod service;
mod waits;

use std::collections::{BTreeMap, HashMap};

use bollard_stubs::models::{ContainerCreateBody, EndpointSettings};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use self::service::Service;
use crate::error::{ComposeError, Result};
use crate::model::plain;
use crate::plan::Generated;

pub use build::{Build, needs_buildkit};
pub use files::Put;
pub use waits::{Until, Wait};

/// Compose's label for the hash of a container's definition.
pub const HASH: &str = "com.docker.compose.config-hash";
/// Compose's label for the project of a container.
pub const PROJECT: &str = "com.docker.compose.project";
/// Compose's label for the service of a container.
pub const SERVICE: &str = "com.docker.compose.service";
/// Compose's label for which of a service's containers one is, from 1.
pub const NUMBER: &str = "com.docker.compose.container-number";

/// Keys of a definition that don't change what a container is.
const NOT_THE_CONTAINER: [&str; 5] = ["build", "depends_on", "profiles", "pull_policy", "scale"];

/// A project in the engine's words.
#[derive(Debug, Clone, PartialEq)]
pub struct Direct {
    /// Its services, by name.
    pub services: Vec<DirectService>,
    /// Its volumes.
    pub volumes: Vec<DirectVolume>,
}

/// Where an image comes from when it is not there, or also when it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// From a registry each time.
    Always,
    /// From a registry when it is not there.
    Missing,
    /// Nowhere.
    Never,
    /// Built each time.
    Build,
}

/// One service.
#[derive(Debug, Clone, PartialEq)]
pub struct DirectService {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Where that comes from.
    pub pull: Pull,
    /// For which processor and system, such as `linux/arm64`.
    pub platform: Option<String>,
    /// How it is built, if it is.
    pub build: Option<Build>,
    /// How many containers.
    pub replicas: u32,
    /// What must be before it starts.
    pub waits: Vec<Wait>,
    /// Services whose namespaces or volumes it uses.
    pub inside: Vec<String>,
    /// Its networks by their names on the engine, the first one first.
    pub networks: Vec<(String, EndpointSettings)>,
    /// Files that are put into a container before it starts.
    pub files: Vec<Put>,
    body: ContainerCreateBody,
    hash: String,
}

/// A volume to be made, unless it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectVolume {
    /// Its name on the engine.
    pub name: String,
    /// Whether it must be there already.
    pub external: bool,
    /// Its driver, when it is not the engine's own.
    pub driver: Option<String>,
    /// What the driver is told.
    pub options: HashMap<String, String>,
    /// Its labels.
    pub labels: HashMap<String, String>,
    /// Services that use it.
    pub users: Vec<String>,
}

/// Says a project in the engine's words. `variables` are those that secrets and configs are made
/// from; the file is the one that the labels name.
///
/// # Errors
/// `Unsupported` with the key for what only Compose does, `Invalid` for a secret whose variable is
/// not there.
pub fn direct(
    generated: &Generated,
    variables: &BTreeMap<String, String>,
    file: &std::path::Path,
    folder: &std::path::Path,
) -> Result<Direct> {
    let whole = plain(&generated.file);
    let top = Top { whole: &whole, variables };
    top.known()?;
    let project = whole["name"].as_str().unwrap_or_default();
    let own = HashMap::from([
        (PROJECT.to_owned(), project.to_owned()),
        ("com.docker.compose.project.config_files".to_owned(), file.display().to_string()),
        ("com.docker.compose.project.working_dir".to_owned(), folder.display().to_string()),
        ("com.docker.compose.oneoff".to_owned(), "False".to_owned()),
    ]);
    let services: Vec<DirectService> = top
        .section("services")
        .iter()
        .map(|(name, definition)| top.service(name, definition, &own))
        .collect::<Result<_>>()?;
    Ok(Direct { volumes: mounts::volumes(&top, project), services })
}

/// The whole file.
pub(super) struct Top<'a> {
    whole: &'a Value,
    variables: &'a BTreeMap<String, String>,
}

impl<'a> Top<'a> {
    /// Refuses sections that have no meaning here.
    fn known(&self) -> Result<()> {
        let known = ["name", "version", "services", "networks", "volumes", "secrets", "configs"];
        let sections = self.whole.as_object().into_iter().flatten();
        for (key, value) in sections {
            let empty = value.as_object().is_some_and(Map::is_empty) || value.is_null();
            if !known.contains(&key.as_str()) && !empty {
                return Err(unsupported(key, "only Compose knows it"));
            }
        }
        Ok(())
    }

    fn section(&self, name: &str) -> &'a Map<String, Value> {
        static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        self.whole.get(name).and_then(Value::as_object).unwrap_or(&NONE)
    }

    /// What a key of a section is called on the engine.
    fn named(&self, section: &str, key: &str) -> String {
        let name = self.section(section).get(key).and_then(|e| e.get("name"));
        name.and_then(Value::as_str).unwrap_or(key).to_owned()
    }

    fn service(
        &self,
        name: &str,
        definition: &Value,
        own: &HashMap<String, String>,
    ) -> Result<DirectService> {
        let service = Service::new(name, definition)?;
        let build = build::of(&service)?;
        let image = match (service.text("image")?, &build) {
            (Some(image), _) => image.to_owned(),
            (None, _) => return Err(service.refuse("image", "it has none")),
        };
        let networks = reach::networks(&service, self)?;
        let (mounts, files) = files::of(&service, self)?;
        let mut body = body::of(&service, self, &networks, mounts)?;
        body.image = Some(image.clone());
        let waits = waits::of(&service, self.section("services"))?;
        let labels = body.labels.get_or_insert_default();
        labels.extend(own.clone());
        labels.insert(SERVICE.to_owned(), name.to_owned());
        labels.insert("com.docker.compose.depends_on".to_owned(), waits::label(&waits));
        Ok(DirectService {
            name: name.to_owned(),
            pull: pull(&service, build.is_some())?,
            platform: service.text("platform")?.map(str::to_owned),
            image,
            build,
            replicas: crate::generate::replicas(definition),
            waits,
            inside: service.inside(),
            networks,
            hash: hash(definition, &files),
            files,
            body,
        })
    }
}

impl DirectService {
    /// The definition of one of its containers, and the hash of it. `ids` are the containers of the
    /// services that it is inside of.
    #[must_use]
    pub fn container(
        &self,
        number: u32,
        ids: &BTreeMap<String, String>,
    ) -> (ContainerCreateBody, String) {
        let mut body = self.body.clone();
        let mut hash = Sha256::new().chain_update(&self.hash);
        for (service, id) in ids {
            hash.update(format!("\0{service}={id}"));
        }
        let hash = hex(&hash.finalize());
        body::resolve(&mut body, ids);
        let labels = body.labels.get_or_insert_default();
        labels.insert(NUMBER.to_owned(), number.to_string());
        labels.insert(HASH.to_owned(), hash.clone());
        (body, hash)
    }

    /// What one of its containers is called.
    #[must_use]
    pub fn container_name(&self, project: &str, number: u32) -> String {
        format!("{project}-{}-{number}", self.name)
    }
}

fn pull(service: &Service<'_>, built: bool) -> Result<Pull> {
    match service.text("pull_policy")? {
        Some("always") => Ok(Pull::Always),
        Some("never") => Ok(Pull::Never),
        Some("build") if built => Ok(Pull::Build),
        Some("missing" | "if_not_present") | None => Ok(Pull::Missing),
        Some(_) => Err(service.refuse("pull_policy", "only Compose knows this one")),
    }
}

/// Of what makes a container another one.
fn hash(definition: &Value, files: &[Put]) -> String {
    let mut own = definition.clone();
    if let Some(map) = own.as_object_mut() {
        map.retain(|key, _| !NOT_THE_CONTAINER.contains(&key.as_str()));
        if let Some(deploy) = map.get_mut("deploy").and_then(Value::as_object_mut) {
            deploy.remove("replicas");
        }
    }
    let contents: Vec<String> = files.iter().map(|f| hex(&Sha256::digest(&f.contents))).collect();
    // Maps of this library are sorted, so the order of keys in files does not matter.
    let text = json!([own, contents]).to_string();
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A key that Compose makes possible.
pub(super) fn unsupported(key: impl Into<String>, why: impl Into<String>) -> ComposeError {
    let (key, why) = (key.into(), why.into());
    ComposeError::Unsupported { file: None, line: None, key, why, install: true }
}
