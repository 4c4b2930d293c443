//! A tool's data is saved: databases while the service runs, files and volumes while it does not, all into
//! one sealed file that is read back before it counts.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::archive::{self, FORMAT, Head, Writer};
use super::error::{Error, Result};
use super::items::{Item, items};
use super::journal::{self, Journal, staging};
use super::{sqlite, volumes};
use crate::lifecycle::{self, Kind, Line, Manner, Ready, Step, Tool, spawn};
use crate::secrets::{Keys, Recipients};
use crate::{Home, OfFile as _, Slug};

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Backup {
    /// The tool.
    pub slug: Slug,
    /// Its name: when it was made.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// What a backup has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Saved {
    /// The backup; nothing when the plugin's own script made it.
    pub backup: Option<Backup>,
    /// What is declared and was not there.
    pub absent: Vec<String>,
    /// Sockets and pipes, which are no data.
    pub skipped: Vec<PathBuf>,
}

/// The end of a backup's file name.
pub(crate) const ENDING: &str = ".tar.zst.age";

/// Saves the data of a tool for this machine and these recipients. A running service is stopped for as
/// long as its files or volumes are read, and started again, whatever happens. A plugin that declares no
/// data has its own `backup` run.
///
/// # Errors
/// [`Error::Nothing`], [`Error::Dump`], [`Error::Database`], [`Error::Volume`], [`Error::Service`],
/// [`Error::File`]. There is no new backup then, and the service is as it was.
pub fn backup(
    home: &Home,
    slug: &Slug,
    recipients: &[String],
    manner: &Manner<'_>,
) -> Result<Saved> {
    let tool = Tool::load(home, slug)?;
    if tool.plugin.data.is_empty() {
        own_script(home, tool, "backup", None, manner)?;
        return Ok(Saved { backup: None, absent: Vec::new(), skipped: Vec::new() });
    }
    let _turn = take_turn(home, &tool, manner)?;
    let keys = Keys::load_or_make(home)?;
    let to = Recipients::of(recipients, &keys)?;
    let items = items(&tool, manner)?;
    let runs = tool.kind() != Kind::None && lifecycle::runs(home, slug, manner)?;
    let mut journal = Journal::begin(runs);
    let created = Timestamp::now();
    let name = created.strftime("%Y-%m-%dT%H-%M-%S%.3fZ").to_string();
    let file = home.backups(slug).join(format!("{name}{ENDING}"));
    let part = file.with_extension("age.part");
    make_folder(&home.backups(slug))?;
    journal.part = Some(part.clone());
    journal.save(home, slug)?;
    let saving = Saving { home, tool: &tool, manner, created, staging: staging(home, slug) };
    let saved = saving.all(&items, &part, &to, runs).and_then(|saved| {
        // What cannot be read back is no backup.
        archive::read(&part, &keys, None)?;
        fs::rename(&part, &file).map_err(Error::file("moved", &part))?;
        Ok(saved)
    });
    let ended = journal.end(home, &tool, manner);
    let (absent, skipped) = saved?;
    ended?;
    let size = fs::metadata(&file).map_err(Error::file("read", &file))?.len();
    Ok(Saved { backup: Some(Backup { slug: slug.clone(), name, file, size }), absent, skipped })
}

/// Takes the turn, and ends what a killed one has left.
pub(crate) fn take_turn(home: &Home, tool: &Tool, manner: &Manner<'_>) -> Result<fs::File> {
    let busy = || {
        let source = std::io::Error::new(
            std::io::ErrorKind::ResourceBusy,
            "another backup or restore of it runs",
        );
        Error::file("begun", home.backups(&tool.slug))(source)
    };
    let turn = journal::turn(home, &tool.slug)?.ok_or_else(busy)?;
    if let Some(left) = Journal::load(home, &tool.slug) {
        left.end(home, tool, manner)?;
    }
    Ok(turn)
}

pub(crate) fn make_folder(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path).map_err(Error::file("made", path))
}

struct Saving<'a> {
    home: &'a Home,
    tool: &'a Tool,
    manner: &'a Manner<'a>,
    created: Timestamp,
    staging: PathBuf,
}

impl Saving<'_> {
    fn all(
        &self,
        items: &[Item],
        part: &Path,
        to: &Recipients,
        runs: bool,
    ) -> Result<(Vec<String>, Vec<PathBuf>)> {
        make_folder(&self.staging)?;
        let mut places: Vec<Option<PathBuf>> = Vec::new();
        for (number, item) in items.iter().enumerate() {
            places.push(self.collect(number, item)?);
        }
        if runs && items.iter().any(Item::wants_quiet) {
            journal::stop(self.home, self.tool, self.manner)?;
        }
        for (number, item) in items.iter().enumerate() {
            match item {
                Item::Tree(path) => {
                    places[number] =
                        Some(path.clone()).filter(|path| path.symlink_metadata().is_ok());
                }
                Item::Volume(name) => {
                    let file = self.staging.join(number.to_string());
                    let there = volumes::save(self.manner, self.tool, name, &file)?;
                    places[number] = there.then_some(file);
                }
                _ => {}
            }
        }
        let words: Vec<String> = items.iter().map(word).collect();
        let known =
            words.iter().zip(&places).map(|(word, place)| place.as_ref().map(|_| word.clone()));
        let head = Head {
            format: FORMAT.to_owned(),
            slug: self.tool.slug.to_string(),
            created: self.created,
            items: known.collect(),
        };
        let mut writer = Writer::create(part, to, &head)?;
        for (number, place) in places.iter().enumerate() {
            if let Some(place) = place {
                self.manner.tell(&self.tool.slug, Step::Data, Some(&words[number]));
                writer.tree(number, place)?;
            }
        }
        let skipped = std::mem::take(&mut writer.skipped);
        writer.finish()?;
        let absent = words.into_iter().zip(places).filter(|(_, place)| place.is_none());
        Ok((absent.map(|(word, _)| word).collect(), skipped))
    }

    /// What is saved while the service runs.
    fn collect(&self, number: usize, item: &Item) -> Result<Option<PathBuf>> {
        let file = self.staging.join(number.to_string());
        match item {
            Item::Sqlite(path) if path.exists() => sqlite::copy(path, &file).map(|()| Some(file)),
            Item::Dump(dump) => {
                let ready = Ready::new(self.home, self.tool.clone(), self.manner)?;
                save_dump(&ready, self.home, dump, &file).map(|()| Some(file))
            }
            _ => Ok(None),
        }
    }
}

/// What an item is called in a backup. A restore finds it by that.
pub(crate) fn word(item: &Item) -> String {
    match item {
        Item::Tree(path) => format!("path {}", path.display()),
        Item::Sqlite(path) => format!("sqlite {}", path.display()),
        Item::Volume(name) => format!("volume {name}"),
        Item::Dump(dump) => format!("dump {}", dump.name),
    }
}

/// Runs the command that writes a dump, its output to a file.
pub(crate) fn save_dump(
    ready: &Ready,
    home: &Home,
    dump: &atelier_plugin::Dump,
    to: &Path,
) -> Result<()> {
    let file = fs::File::create(to).map_err(Error::file("written", to))?;
    through(ready, home, "saving", &dump.name, &dump.save, Stdio::null(), Stdio::from(file))
}

/// Runs the command that reads a dump, a file as its input.
pub(crate) fn load_dump(
    ready: &Ready,
    home: &Home,
    dump: &atelier_plugin::Dump,
    from: &Path,
) -> Result<()> {
    let file = fs::File::open(from).map_err(Error::file("read", from))?;
    through(ready, home, "loading", &dump.name, &dump.load, Stdio::from(file), Stdio::null())
}

fn through(
    ready: &Ready,
    home: &Home,
    doing: &'static str,
    name: &str,
    line: &str,
    stdin: Stdio,
    stdout: Stdio,
) -> Result<()> {
    let log = ready.tool.run_folder(home)?.join(format!("{doing}.log"));
    let line = Line {
        line,
        folder: &ready.tool.folder,
        environment: &ready.environment,
        log: &log,
        masker: &ready.masker,
        timeout: None,
    };
    let run = || line.piped(stdin, stdout)?.wait();
    let status = run().map_err(Error::file("run in", &ready.tool.folder))?;
    let said = line.said();
    match spawn::code(status) {
        0 => Ok(()),
        code => {
            let (slug, name) = (ready.tool.slug.to_string(), name.to_owned());
            Err(Error::Dump { slug, doing, name, code, said })
        }
    }
}

/// The plugin's own command or script, as ATK's plugins have it.
pub(crate) fn own_script(
    home: &Home,
    tool: Tool,
    name: &'static str,
    argument: Option<&str>,
    manner: &Manner<'_>,
) -> Result<()> {
    let own = &tool.plugin.lifecycle;
    let own = if name == "backup" { own.backup.clone() } else { own.restore.clone() };
    let line = match own {
        Some(line) => line,
        None => match lifecycle::find_script(&tool.folder, name) {
            Some(path) => {
                let program = lifecycle::interpreter(&path);
                let words = [program.as_path(), path.as_path()]
                    .map(|one| lifecycle::quote(&one.to_string_lossy()));
                words.join(" ")
            }
            None => return Err(Error::Nothing { slug: tool.slug.to_string(), script: name }),
        },
    };
    let line = match argument {
        Some(argument) => format!("{line} {}", lifecycle::quote(argument)),
        None => line,
    };
    let ready = Ready::new(home, tool, manner)?;
    Ok(ready.run(home, manner, name, &line, None)?)
}
