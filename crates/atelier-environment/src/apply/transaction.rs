//! Changing many files of a project, wholly or not at all.
//!
//! New contents are first written to a folder of ours on the same filesystem; then each is moved
//! into its place, and what was there is kept in that folder until all is done. A journal in the
//! environment's folder says what was to be done, so that after a failure or a kill everything is
//! put back. Every path is opened without following symlinks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, RenameFlags, Uid, fchmod, fchown, fstat, linkat, mkdirat, openat,
    renameat, renameat_with, symlinkat, unlinkat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::plan::{Content, Plan, Step};
use crate::base::store::unique;
use crate::changes::side::Layers;
use crate::error::{Conflict, Error, Result};
use crate::files::entry::{Entry, Kind};
use crate::quote::{as_path, path_text};
use atelier_files::below::{open_dir, open_root, split, stat_at};
use atelier_files::remove;

/// A tree that is changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub root: &'a Path,
    /// Where it is written down what is being done.
    pub journal: &'a Path,
    /// Whose tree it is, in words.
    pub here: &'static str,
}

/// What a process that ended left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    Nothing,
    /// Everything was put back.
    Undone,
    /// Everything is in its place; [`settle`] is still to come.
    Done,
}

/// What is being done; written before anything is.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Journal {
    /// Everything is in its place; only our folders are left to delete.
    done: bool,
    /// Our folders inside the project, below its root.
    stages: Vec<Vec<u8>>,
    /// Folders to make, from the top.
    folders: Vec<Vec<u8>>,
    /// Folders to delete once they are empty, from the deepest, with their modes.
    emptied: Vec<(Vec<u8>, u32)>,
    moves: Vec<Move>,
}

/// One path to replace, add or delete. `n<number>` in its stage is the new content, `o<number>`
/// what was there before.
#[derive(Debug, Serialize, Deserialize)]
struct Move {
    path: Vec<u8>,
    stage: usize,
    number: usize,
    delete: bool,
    /// What shows that our new content is in place: inode, size, modification time.
    staged: Option<(u64, u64, i64)>,
}

impl Move {
    fn new_name(&self) -> String {
        format!("n{}", self.number)
    }

    fn old_name(&self) -> String {
        format!("o{}", self.number)
    }
}

/// Does everything in the plan, or nothing. What was replaced is kept until [`settle`].
pub(crate) fn perform(target: Target<'_>, layers: &Layers, plan: &Plan) -> Result<()> {
    if plan.steps.is_empty() {
        return Ok(());
    }
    let mut work = Work::open(target)?;
    let result = work
        .prepare(layers, plan)
        .and_then(|()| work.folders_and_moves(plan))
        .and_then(|()| work.finish());
    if result.is_err() {
        // Should this fail too, the journal stays and the next call tries again.
        let _ = work.undo();
    }
    result
}

/// Lets go of what was replaced.
pub(crate) fn settle(target: Target<'_>) -> Result<()> {
    match read(target)? {
        Some(work) => work.clean(),
        None => Ok(()),
    }
}

/// Takes back what a killed process left half done.
pub(crate) fn recover(target: Target<'_>) -> Result<Left> {
    match read(target)? {
        None => Ok(Left::Nothing),
        Some(work) if work.journal.done => Ok(Left::Done),
        Some(work) => work.undo().map(|()| Left::Undone),
    }
}

/// What is written down.
fn read(target: Target<'_>) -> Result<Option<Work<'_>>> {
    let bytes = match std::fs::read(target.journal) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read", target.journal, e)),
    };
    let mut work = Work::open(target)?;
    work.journal = serde_json::from_slice(&bytes)
        .map_err(|e| Error::Damaged { path: target.journal.to_owned(), why: e.to_string() })?;
    Ok(Some(work))
}

struct Work<'a> {
    root: &'a Path,
    here: &'static str,
    fd: OwnedFd,
    journal_path: &'a Path,
    journal: Journal,
}

impl<'a> Work<'a> {
    fn open(target: Target<'a>) -> Result<Self> {
        let Target { root, journal: journal_path, here } = target;
        let fd = open_root(root).map_err(|e| Error::io("open", root, e))?;
        Ok(Self { root, here, fd, journal_path, journal: Journal::default() })
    }

    fn fail(&self, doing: &'static str, path: &[u8], errno: impl Into<std::io::Error>) -> Error {
        Error::io(doing, &self.root.join(as_path(path)), errno)
    }

    fn dir(&self, path: &[u8]) -> Result<OwnedFd> {
        open_dir(self.fd.as_fd(), path).map_err(|e| self.fail("open", path, e))
    }

    fn stage(&self, a_move: &Move) -> Result<OwnedFd> {
        self.dir(&self.journal.stages[a_move.stage])
    }

    /// Writes the journal so that it is old or new after a kill, never half.
    fn save(&self) -> Result<()> {
        let fail = |e| Error::io("write", self.journal_path, e);
        let new = self.journal_path.with_extension("journal-new");
        let json = serde_json::to_vec(&self.journal).map_err(|e| fail(e.into()))?;
        let mut file = File::create(&new).map_err(fail)?;
        file.write_all(&json).and_then(|()| file.sync_data()).map_err(fail)?;
        std::fs::rename(&new, self.journal_path).map_err(fail)
    }

    /// Names all that will be done in the journal, then writes the new contents to our folders.
    fn prepare(&mut self, layers: &Layers, plan: &Plan) -> Result<()> {
        let id = format!(".atelier-apply-{}", unique());
        let mut stages = BTreeMap::new();
        for (number, step) in plan.steps.iter().enumerate() {
            let top = self.top_of(&step.path)?;
            let next = stages.len();
            let stage = *stages.entry(top).or_insert(next);
            let delete = matches!(step.content, Content::Deleted);
            let path = step.path.clone();
            self.journal.moves.push(Move { path, stage, number, delete, staged: None });
        }
        let mut tops: Vec<_> = stages.into_iter().collect();
        tops.sort_by_key(|(_, at)| *at);
        self.journal.stages = tops
            .into_iter()
            .map(|(top, _)| atelier_files::below::join(&top, id.as_bytes()))
            .collect();
        self.plan_folders(plan)?;
        self.save()?;
        for stage in &self.journal.stages {
            let (dir, name) = split(stage);
            mkdirat(self.dir(dir)?, name, Mode::RWXU).map_err(|e| self.fail("create", stage, e))?;
        }
        for at in 0..plan.steps.len() {
            if !self.journal.moves[at].delete {
                let staged = self.write(layers, &plan.steps[at], at)?;
                self.journal.moves[at].staged = Some(staged);
            }
        }
        self.save()
    }

    /// The highest folder above a path that is on the same filesystem, so that a move works: the
    /// project's root, unless something is mounted inside it.
    fn top_of(&self, path: &[u8]) -> Result<Vec<u8>> {
        let device = |fd: &OwnedFd| fstat(fd).map(|s| s.st_dev);
        let mut best: Option<(Vec<u8>, u64)> = None;
        let mut dir = split(path).0;
        loop {
            if let Ok(fd) = open_dir(self.fd.as_fd(), dir) {
                let here = device(&fd).map_err(|e| self.fail("read", dir, e))?;
                if best.as_ref().is_none_or(|(_, d)| *d == here) {
                    best = Some((dir.to_vec(), here));
                }
            }
            if dir.is_empty() {
                return Ok(best.map_or_else(Vec::new, |(dir, _)| dir));
            }
            dir = split(dir).0;
        }
    }

    /// Which folders new files need, and which lose their last file.
    fn plan_folders(&mut self, plan: &Plan) -> Result<()> {
        let (mut needed, mut emptied) = (BTreeMap::new(), BTreeMap::new());
        for step in &plan.steps {
            let mut dir = split(&step.path).0;
            while !dir.is_empty() {
                let stat = open_dir(self.fd.as_fd(), dir).and_then(|fd| fstat(&fd));
                match (&step.content, stat) {
                    (Content::Deleted, Ok(stat)) => {
                        emptied.insert(dir.to_vec(), stat.st_mode & 0o7777);
                    }
                    (Content::Deleted, Err(_)) | (_, Ok(_)) => {}
                    (_, Err(_)) => {
                        needed.insert(dir.to_vec(), ());
                    }
                }
                dir = split(dir).0;
            }
        }
        // Kept: where something is put, though a neighbour goes.
        for step in plan.steps.iter().filter(|s| !matches!(s.content, Content::Deleted)) {
            let mut dir = split(&step.path).0;
            while !dir.is_empty() {
                emptied.remove(dir);
                dir = split(dir).0;
            }
        }
        for dir in &plan.cleared {
            let stat = open_dir(self.fd.as_fd(), dir).and_then(|fd| fstat(&fd));
            let stat = stat.map_err(|e| self.fail("read", dir, e))?;
            emptied.insert(dir.clone(), stat.st_mode & 0o7777);
        }
        self.journal.folders = needed.into_keys().collect();
        self.journal.emptied = emptied.into_iter().rev().collect();
        Ok(())
    }

    /// Writes one new content to our folder.
    fn write(&self, layers: &Layers, step: &Step, at: usize) -> Result<(u64, u64, i64)> {
        let a_move = &self.journal.moves[at];
        let (dir, name) = (self.stage(a_move)?, a_move.new_name());
        let fail = |e: Errno| self.fail("write", &step.path, e);
        if let Content::Side(side) = &step.content
            && side.mode.is_link()
        {
            let target = layers.read(side)?;
            symlinkat(target.as_slice(), &dir, &name).map_err(fail)?;
        } else {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let mut file =
                File::from(openat(&dir, &name, flags, Mode::RUSR | Mode::WUSR).map_err(fail)?);
            match &step.content {
                Content::Side(side) => std::io::copy(&mut layers.file(side)?, &mut file).map(drop),
                Content::Text(text) => file.write_all(text),
                Content::Deleted => Ok(()),
            }
            .and_then(|()| file.sync_data())
            .map_err(|e| self.fail("write", &step.path, e))?;
            self.own(&file, step).map_err(fail)?;
            fchmod(&file, Mode::from_raw_mode(step.mode)).map_err(fail)?;
        }
        let stat = stat_at(dir.as_fd(), name.as_bytes()).map_err(fail)?.ok_or(Errno::NOENT);
        let entry = Entry::new(Vec::new(), &stat.map_err(fail)?);
        Ok((entry.ino, entry.size, entry.mtime))
    }

    /// As root, a file belongs to whom the replaced one belonged, or its folder belongs.
    fn own(&self, file: &File, step: &Step) -> Result<(), Errno> {
        if !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let mut dir = split(&step.path).0;
        let (uid, gid) = match &step.now {
            Some(now) => (now.uid, now.gid),
            None => loop {
                if let Ok(stat) = open_dir(self.fd.as_fd(), dir).and_then(|fd| fstat(&fd)) {
                    break (stat.st_uid, stat.st_gid);
                }
                dir = split(dir).0;
            },
        };
        fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
    }

    fn folders_and_moves(&self, plan: &Plan) -> Result<()> {
        let both = || self.journal.moves.iter().zip(&plan.steps);
        for (a_move, step) in both().filter(|(m, _)| m.delete) {
            self.unchanged(step)?;
            let (dir, name) = split(&a_move.path);
            renameat(self.dir(dir)?, name, self.stage(a_move)?, a_move.old_name())
                .map_err(|e| self.fail("delete", &a_move.path, e))?;
        }
        for (path, _) in &self.journal.emptied {
            let (dir, name) = split(path);
            // Not empty: the project has more there than the environment knew.
            let _ = unlinkat(self.dir(dir)?, name, AtFlags::REMOVEDIR);
        }
        for path in &self.journal.folders {
            let (dir, name) = split(path);
            let mode = Mode::from_raw_mode(0o777);
            mkdirat(self.dir(dir)?, name, mode).map_err(|e| self.fail("create", path, e))?;
            self.own_folder(path)?;
        }
        for (a_move, step) in both().filter(|(m, _)| !m.delete) {
            self.unchanged(step)?;
            self.put(a_move, step.now.is_some())?;
        }
        Ok(())
    }

    fn own_folder(&self, path: &[u8]) -> Result<()> {
        if !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let above = fstat(self.dir(split(path).0)?).map_err(|e| self.fail("read", path, e))?;
        let (uid, gid) = (Uid::from_raw(above.st_uid), Gid::from_raw(above.st_gid));
        fchown(self.dir(path)?, Some(uid), Some(gid)).map_err(|e| self.fail("create", path, e))
    }

    /// The last look before a path is changed: somebody may have saved it a moment ago.
    fn unchanged(&self, step: &Step) -> Result<()> {
        let (dir, name) = split(&step.path);
        let stat = match open_dir(self.fd.as_fd(), dir) {
            Ok(dir) => stat_at(dir.as_fd(), name).map_err(|e| self.fail("read", &step.path, e))?,
            Err(_) => None,
        };
        let now = stat.map(|s| Entry::new(step.path.clone(), &s)).filter(|e| e.kind != Kind::Dir);
        let same = match (&step.now, &now) {
            (None, None) => true,
            (Some(before), Some(now)) => before.is_unchanged(now),
            _ => false,
        };
        if same {
            return Ok(());
        }
        let why = "changed just now".to_owned();
        let conflict = Conflict { path: path_text(&step.path), line: None, why };
        Err(Error::Conflict { here: self.here, conflicts: vec![conflict] })
    }

    fn put(&self, a_move: &Move, replaces: bool) -> Result<()> {
        let (dir, name) = split(&a_move.path);
        let fail = |e: Errno| self.fail("write", &a_move.path, e);
        let (dir, stage) = (self.dir(dir)?, self.stage(a_move)?);
        if !replaces {
            let flags = RenameFlags::NOREPLACE;
            return renameat_with(&stage, a_move.new_name(), &dir, name, flags).map_err(fail);
        }
        // A second name keeps the old file; where there are no hard links, a move does, and the
        // path is gone for a moment.
        if linkat(&dir, name, &stage, a_move.old_name(), AtFlags::empty()).is_err() {
            renameat(&dir, name, &stage, a_move.old_name()).map_err(fail)?;
        }
        renameat(&stage, a_move.new_name(), &dir, name).map_err(fail)
    }

    fn finish(&mut self) -> Result<()> {
        self.journal.done = true;
        self.save()
    }

    fn clean(&self) -> Result<()> {
        for stage in &self.journal.stages {
            remove(&self.root.join(as_path(stage)))?;
        }
        match std::fs::remove_file(self.journal_path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("delete", self.journal_path, e))
            }
            _ => Ok(()),
        }
    }

    /// Puts everything back, from the last to the first; what was never done is passed over.
    fn undo(&self) -> Result<()> {
        for a_move in self.journal.moves.iter().rev().filter(|m| !m.delete) {
            self.unput(a_move)?;
        }
        for path in self.journal.folders.iter().rev() {
            let (dir, name) = split(path);
            if let Ok(dir) = open_dir(self.fd.as_fd(), dir) {
                let _ = unlinkat(dir, name, AtFlags::REMOVEDIR);
            }
        }
        for (path, mode) in self.journal.emptied.iter().rev() {
            let (dir, name) = split(path);
            if let Ok(dir) = open_dir(self.fd.as_fd(), dir)
                && mkdirat(&dir, name, Mode::RWXU).is_ok()
            {
                let _ = fchmod(self.dir(path)?, Mode::from_raw_mode(*mode));
            }
        }
        for a_move in self.journal.moves.iter().filter(|m| m.delete) {
            self.put_back(a_move)?;
        }
        self.clean()
    }

    fn unput(&self, a_move: &Move) -> Result<()> {
        let (dir, name) = split(&a_move.path);
        let Ok(dir) = open_dir(self.fd.as_fd(), dir) else { return Ok(()) };
        let stat = stat_at(dir.as_fd(), name).map_err(|e| self.fail("read", &a_move.path, e))?;
        let here = stat.map(|s| Entry::new(Vec::new(), &s)).map(|e| (e.ino, e.size, e.mtime));
        if here.is_some() && here != a_move.staged {
            // Not ours: it was never replaced, or somebody has edited it since.
            return Ok(());
        }
        if here.is_some() && !self.has_old(a_move)? {
            return unlinkat(&dir, name, AtFlags::empty())
                .map_err(|e| self.fail("delete", &a_move.path, e));
        }
        self.put_back(a_move)
    }

    fn has_old(&self, a_move: &Move) -> Result<bool> {
        let Ok(stage) = self.stage(a_move) else { return Ok(false) };
        let stat = stat_at(stage.as_fd(), a_move.old_name().as_bytes());
        Ok(stat.map_err(|e| self.fail("read", &a_move.path, e))?.is_some())
    }

    fn put_back(&self, a_move: &Move) -> Result<()> {
        if !self.has_old(a_move)? {
            return Ok(());
        }
        let (dir, name) = split(&a_move.path);
        renameat(self.stage(a_move)?, a_move.old_name(), self.dir(dir)?, name)
            .map_err(|e| self.fail("put back", &a_move.path, e))
    }
}
