//! A backup is brought back: read whole and compared first, then put in the place of what is there, which is
//! kept aside until everything is done.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use atelier_plugin::Dump;
use schemars::JsonSchema;
use serde::Serialize;

use super::archive::{self, Head};
use super::backup::{load_dump, make_folder, own_script, save_dump, take_turn, word};
use super::error::{Error, Result};
use super::items::{Item, items};
use super::journal::{self, Journal, Swap, remove, staging};
use super::sqlite::beside;
use super::store;
use super::volumes;
use crate::lifecycle::{self, Kind, Manner, Ready, Step, Tool};
use crate::secrets::Keys;
use crate::{Home, OfFile as _, Slug};

/// What a restore has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Restored {
    /// The backup; nothing when the plugin's own script brought it back.
    pub file: Option<PathBuf>,
    /// What was brought back.
    pub restored: Vec<String>,
    /// What is declared and not in the backup: it was left as it is.
    pub untouched: Vec<String>,
    /// What is in the backup and not declared any more.
    pub unknown: Vec<String>,
}

/// Brings the data of a tool back from a backup: one by its name, the newest one without a name. The
/// service is stopped meanwhile, and afterwards as it was. Whatever fails, everything is as before.
///
/// # Errors
/// [`Error::Unknown`], [`Error::Damaged`], [`Error::Sealed`], [`Error::Other`], [`Error::Dump`],
/// [`Error::Volume`], [`Error::Service`], [`Error::File`].
pub fn restore(
    home: &Home,
    slug: &Slug,
    name: Option<&str>,
    manner: &Manner<'_>,
) -> Result<Restored> {
    let tool = Tool::load(home, slug)?;
    if tool.plugin.data.is_empty() {
        own_script(home, tool, "restore", name, manner)?;
        let (restored, untouched, unknown) = (Vec::new(), Vec::new(), Vec::new());
        return Ok(Restored { file: None, restored, untouched, unknown });
    }
    let _turn = take_turn(home, &tool, manner)?;
    let backup = store::find(home, slug, name)?;
    let keys = Keys::load(home)?.ok_or_else(|| Error::Sealed { path: backup.file.clone() })?;
    let items = items(&tool, manner)?;
    let runs = tool.kind() != Kind::None && lifecycle::runs(home, slug, manner)?;
    let mut journal = Journal::begin(runs);
    journal.save(home, slug)?;
    let staging = staging(home, slug);
    let mut restoring = Restoring { home, tool: &tool, manner, staging, journal: &mut journal };
    let done = restoring.all(&items, &backup.file, &keys, runs);
    let ended = journal.end(home, &tool, manner);
    let mut done = done?;
    ended?;
    done.file = Some(backup.file);
    Ok(done)
}

struct Restoring<'a> {
    home: &'a Home,
    tool: &'a Tool,
    manner: &'a Manner<'a>,
    staging: PathBuf,
    journal: &'a mut Journal,
}

impl Restoring<'_> {
    fn all(&mut self, items: &[Item], file: &Path, keys: &Keys, runs: bool) -> Result<Restored> {
        make_folder(&self.staging)?;
        let whole = archive::read(file, keys, Some(&self.staging))?;
        if whole.head.slug != self.tool.slug.as_str() {
            let (path, of) = (file.to_owned(), whole.head.slug);
            return Err(Error::Other { path, of, slug: self.tool.slug.to_string() });
        }
        let found: Vec<(&Item, PathBuf)> =
            items.iter().filter_map(|item| Some((item, self.staged(&whole.head, item)?))).collect();
        let dumps: Vec<(&Dump, &PathBuf)> = found
            .iter()
            .filter_map(|(item, place)| match item {
                Item::Dump(dump) => Some((dump, place)),
                _ => None,
            })
            .collect();
        let before = self.dumps_before(&dumps, runs);
        self.prepare(&found)?;
        if self.tool.kind() != Kind::None {
            journal::stop(self.home, self.tool, self.manner)?;
        }
        self.journal.save(self.home, &self.tool.slug)?;
        self.swap(&found)?;
        self.load(&dumps, &before)?;
        self.journal.done = true;
        self.journal.save(self.home, &self.tool.slug)?;
        let words: Vec<String> = items.iter().map(word).collect();
        let has = |word: &String| whole.head.items.contains(&Some(word.clone()));
        let unknown = whole.head.items.iter().flatten().filter(|known| !words.contains(known));
        Ok(Restored {
            file: None,
            unknown: unknown.cloned().collect(),
            restored: words.iter().filter(|word| has(word)).cloned().collect(),
            untouched: words.iter().filter(|word| !has(word)).cloned().collect(),
        })
    }

    /// Where an item of the backup was laid down.
    fn staged(&self, head: &Head, item: &Item) -> Option<PathBuf> {
        let name = word(item);
        let number = head.items.iter().position(|one| one.as_ref() == Some(&name))?;
        Some(self.staging.join("data").join(number.to_string()))
    }

    /// What the databases hold now, for the case that loading fails. One that is broken cannot say, and
    /// is why somebody restores.
    fn dumps_before(&self, dumps: &[(&Dump, &PathBuf)], runs: bool) -> Vec<Option<PathBuf>> {
        if dumps.is_empty() || !runs {
            return vec![None; dumps.len()];
        }
        let Ok(ready) = Ready::new(self.home, self.tool.clone(), self.manner) else {
            return vec![None; dumps.len()];
        };
        let one = |(number, (dump, _)): (usize, &(&Dump, &PathBuf))| {
            let file = self.staging.join(format!("before-{number}"));
            save_dump(&ready, self.home, dump, &file).ok().map(|()| file)
        };
        dumps.iter().enumerate().map(one).collect()
    }

    /// Brings everything beside its place, and notes what will change places.
    fn prepare(&mut self, found: &[(&Item, PathBuf)]) -> Result<()> {
        for (item, staged) in found {
            match item {
                Item::Tree(target) => self.come(target, Some(staged))?,
                Item::Sqlite(target) => {
                    self.come(target, Some(staged))?;
                    // What the old database had in its log is no part of the new one.
                    for ending in ["-wal", "-shm", "-journal"] {
                        self.come(&beside(target, ending), None)?;
                    }
                }
                Item::Volume(_) | Item::Dump(_) => {}
            }
        }
        Ok(())
    }

    fn come(&mut self, target: &Path, staged: Option<&PathBuf>) -> Result<()> {
        let swap = Swap::of(target, staged.is_some());
        remove(&swap.new)?;
        remove(&swap.old)?;
        self.journal.swaps.push(swap.clone());
        // Noted first, so that a half of it is cleared away.
        self.journal.save(self.home, &self.tool.slug)?;
        if let Some(staged) = staged {
            make_parents(target)?;
            bring(staged, &swap.new).map_err(Error::file("laid down", &swap.new))?;
        }
        Ok(())
    }

    fn swap(&mut self, found: &[(&Item, PathBuf)]) -> Result<()> {
        for swap in &mut self.journal.swaps {
            // What the service left as it ended counts as well.
            swap.had = fs::symlink_metadata(&swap.target).is_ok();
            swap.going = true;
        }
        self.journal.save(self.home, &self.tool.slug)?;
        for swap in &self.journal.swaps {
            swap.go()?;
        }
        for (item, staged) in found {
            self.manner.tell(&self.tool.slug, Step::Data, Some(&word(item)));
            if let Item::Volume(name) = item {
                // Only a whole copy of what was there is ever brought back.
                volumes::keep(self.manner, self.tool, name)?;
                self.journal.volumes.push(name.clone());
                self.journal.save(self.home, &self.tool.slug)?;
                volumes::replace(self.manner, self.tool, name, staged)?;
            }
        }
        Ok(())
    }

    /// Loads dumps into the running service. When one fails, what was there is loaded again.
    fn load(&self, dumps: &[(&Dump, &PathBuf)], before: &[Option<PathBuf>]) -> Result<()> {
        if dumps.is_empty() {
            return Ok(());
        }
        if self.tool.kind() != Kind::None {
            journal::start(self.home, self.tool, self.manner)?;
        }
        let ready = Ready::new(self.home, self.tool.clone(), self.manner)?;
        for (number, (dump, staged)) in dumps.iter().enumerate() {
            let Err(error) = load_dump(&ready, self.home, dump, staged) else { continue };
            for ((dump, _), kept) in dumps.iter().zip(before).take(number + 1) {
                if let Some(kept) = kept {
                    load_dump(&ready, self.home, dump, kept)?;
                }
            }
            return Err(error);
        }
        Ok(())
    }
}

fn make_parents(target: &Path) -> Result<()> {
    let above = target.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(above).map_err(Error::file("made", above))
}

/// Moves, or copies where the other place is on another filesystem.
fn bring(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy(from, to),
        done => done,
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let about = fs::symlink_metadata(from)?;
    if about.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    if about.is_file() {
        fs::copy(from, to)?;
        let file = fs::File::options().write(true).open(to)?;
        file.set_modified(about.modified()?)?;
        return file.sync_all();
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    fs::set_permissions(to, about.permissions())
}
