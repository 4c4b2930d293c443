//! A tool as its commands see it: its plugin, its folder, how its service runs; and the manner in
//! which the caller wants things done.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use atelier_api::Fault;
use atelier_plugin::{Plugin, ServiceKind};
use schemars::JsonSchema;
use serde::Serialize;

use super::error::{Error, Result};
use crate::{Home, OfFile as _, Slug, shim};

/// How a caller wants things done, and where it hears of them.
pub struct Manner<'a> {
    /// The environment of the command that asks.
    pub environment: BTreeMap<OsString, OsString>,
    /// Our own program with the arguments that make it call [`super::keep`]: the slug is appended.
    pub keeper: Vec<OsString>,
    /// Our own program, for what the system starts at login.
    pub program: PathBuf,
    /// The setting that names a container engine.
    pub engine: Option<String>,
    /// Told what happens.
    pub progress: &'a (dyn Fn(&Happening) + Sync),
}

/// Something that happens while a caller waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Happening {
    /// The tool.
    pub slug: Slug,
    /// What.
    pub what: Step,
    /// A line of a command's output without secrets, or the reason for waiting.
    pub text: Option<String>,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// A command of it runs.
    Runs,
    /// A command said a line.
    Says,
    /// It runs and is not well yet.
    Waits,
    /// It is there.
    Started,
    /// It has ended.
    Stopped,
    /// Data is read or written.
    Data,
}

impl Manner<'_> {
    pub(crate) fn tell(&self, slug: &Slug, what: Step, text: Option<&str>) {
        let text = text.map(str::to_owned);
        (self.progress)(&Happening { slug: slug.clone(), what, text });
    }

    /// A variable of the command's environment, when it is text.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        self.environment.get(OsStr::new(name))?.to_str().map(str::to_owned)
    }
}

/// An installed tool.
#[derive(Debug, Clone)]
pub struct Tool {
    /// Its name.
    pub slug: Slug,
    /// What its plugin says, the user's overrides included.
    pub plugin: Plugin,
    /// Where its files are, and where its commands run.
    pub folder: PathBuf,
}

/// How a tool's service runs; `None` where it has none and only an MCP server or a skill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `docker compose`.
    Compose,
    /// One container.
    Docker,
    /// A unit of systemd.
    Systemd,
    /// The plugin's own commands.
    Script,
    /// A process that Atelier keeps.
    Process,
    /// No service.
    None,
}

impl Tool {
    /// Reads the plugin of an installed tool.
    ///
    /// # Errors
    /// [`Error::Plugin`].
    pub fn load(home: &Home, slug: &Slug) -> Result<Self> {
        let folder = home.plugin(slug);
        match Plugin::load(&folder) {
            Ok(mut plugin) => {
                shim::pin_images(home, slug, &mut plugin);
                Ok(Self { slug: slug.clone(), plugin, folder })
            }
            Err(error) => Err(Error::Plugin {
                slug: slug.as_str().to_owned(),
                why: error.to_string(),
                exit: error.exit(),
                hints: error.hints(),
            }),
        }
    }

    /// How its service runs. Of ATK's plugins many have commands and name no kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match &self.plugin.service {
            Some(service) => match service.kind {
                ServiceKind::DockerCompose => Kind::Compose,
                ServiceKind::Docker => Kind::Docker,
                ServiceKind::Systemd => Kind::Systemd,
                ServiceKind::Script => Kind::Script,
                ServiceKind::Process => Kind::Process,
            },
            None if self.plugin.lifecycle.start.is_some() => Kind::Script,
            None => Kind::None,
        }
    }

    /// Where its process and its commands leave what they write.
    pub(crate) fn run_folder(&self, home: &Home) -> Result<PathBuf> {
        use std::os::unix::fs::DirBuilderExt;
        let folder = home.run(&self.slug);
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&folder).map_err(Error::file("made", &folder))?;
        Ok(folder)
    }

    /// The one who starts or stops it at a time.
    pub(crate) fn turn(&self, home: &Home) -> Result<std::fs::File> {
        let path = self.run_folder(home)?.join("lock");
        let file = std::fs::File::options().create(true).append(true).open(&path);
        let file = file.map_err(Error::file("opened", &path))?;
        file.lock().map_err(Error::file("locked", &path))?;
        Ok(file)
    }
}
