//! Volumes of a container engine, as tar through the engine.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use atelier_engine::{Engine, EngineError, NewVolume, State, Volume};
use futures_util::StreamExt;

use super::error::{Error, Result};
use crate::OfFile as _;
use crate::lifecycle::{Manner, Tool, block, find_engine};

/// Of what a volume is read and written at once.
const PIECE: usize = 256 * 1024;
/// The label of volumes that hold what was there before a restore.
const ASIDE: &str = "io.atelier.tool.before-restore";

fn failed(name: &str) -> impl Fn(EngineError) -> Error {
    move |error| Error::Volume { name: name.to_owned(), why: format!("fails: {error}") }
}

/// The volume that the plugin means: of that name, or Compose's of that name in the tool's project.
async fn find(engine: &Engine, tool: &Tool, name: &str) -> Result<Option<Volume>> {
    for name in [name.to_owned(), format!("{}_{name}", tool.slug)] {
        if let Some(volume) = engine.volume(&name).await.map_err(failed(&name))? {
            return Ok(Some(volume));
        }
    }
    Ok(None)
}

/// Saves a volume as a tar file; `false` when there is none.
pub(crate) fn save(manner: &Manner<'_>, tool: &Tool, name: &str, to: &Path) -> Result<bool> {
    block(async {
        let engine = find_engine(manner).await?;
        let Some(volume) = find(&engine, tool, name).await? else { return Ok(false) };
        let holder = engine.hold(&volume.name, labels(tool)).await.map_err(failed(name))?;
        let mut written = Ok(());
        let mut pieces = holder.read();
        let mut file = File::create(to).map_err(Error::file("written", to))?;
        while let Some(piece) = pieces.next().await {
            written = match piece {
                Ok(bytes) => file.write_all(&bytes).map_err(Error::file("written", to)),
                Err(error) => Err(failed(name)(error)),
            };
            if written.is_err() {
                break;
            }
        }
        drop(pieces);
        holder.close().await.map_err(failed(name))?;
        written.map(|()| true)
    })?
}

fn labels(tool: &Tool) -> HashMap<String, String> {
    HashMap::from([("io.atelier.tool.data".to_owned(), tool.slug.to_string())])
}

fn aside(volume: &str) -> String {
    format!("{volume}-before-restore")
}

/// Keeps a copy of what a volume holds now.
pub(crate) fn keep(manner: &Manner<'_>, tool: &Tool, name: &str) -> Result<()> {
    block(async {
        let engine = find_engine(manner).await?;
        let Some(old) = find(&engine, tool, name).await? else { return Ok(()) };
        // That of a restore that was killed as it made it.
        engine.remove_volume(&aside(&old.name)).await.map_err(failed(name))?;
        let mut marks = labels(tool);
        marks.insert(ASIDE.to_owned(), old.name.clone());
        let new = NewVolume { name: aside(&old.name), labels: marks, ..NewVolume::default() };
        let kept = engine.make_volume(new).await.map_err(failed(name))?;
        engine.copy_volume(&old, &kept, &labels(tool)).await.map_err(failed(name))
    })?
}

/// Puts what a tar file holds in the place of what a volume holds, of which [`keep`] has a copy.
pub(crate) fn replace(manner: &Manner<'_>, tool: &Tool, name: &str, from: &Path) -> Result<()> {
    block(async {
        let engine = find_engine(manner).await?;
        let found = find(&engine, tool, name).await?;
        let target = found.as_ref().map_or(name, |volume| volume.name.as_str()).to_owned();
        anew(&engine, &target, found.as_ref()).await?;
        let holder = engine.hold(&target, labels(tool)).await.map_err(failed(name))?;
        let file = File::open(from).map_err(Error::file("read", from))?;
        let done = holder.write(pieces(file)).await;
        holder.close().await.map_err(failed(name))?;
        done.map_err(failed(name))
    })?
}

/// An empty volume in the place of one.
async fn anew(engine: &Engine, name: &str, old: Option<&Volume>) -> Result<()> {
    if old.is_some() {
        // Containers that have ended hold their volumes, and are made anew at the next start.
        for user in engine.users_of(name).await.map_err(failed(name))? {
            if user.state != State::Running {
                engine.remove(&user.id).await.map_err(failed(name))?;
            }
        }
        engine.remove_volume(name).await.map_err(failed(name))?;
    }
    let labels = old.map(|old| old.labels.clone()).unwrap_or_default();
    let new = NewVolume { name: name.to_owned(), labels, ..NewVolume::default() };
    engine.make_volume(new).await.map(drop).map_err(failed(name))
}

fn pieces(file: File) -> atelier_engine::Contents {
    let next = |file: Option<File>| async move {
        let mut file = file?;
        let mut piece = vec![0; PIECE];
        match file.read(&mut piece) {
            Ok(0) => None,
            Ok(length) => {
                piece.truncate(length);
                Some((Ok(piece.into()), Some(file)))
            }
            Err(error) => {
                let doing = "be given what was saved".to_owned();
                Some((Err(EngineError::Refused { doing, why: error.to_string() }), None))
            }
        }
    };
    Box::pin(futures_util::stream::unfold(Some(file), next))
}

/// Brings back what was there before [`replace`], if that had begun.
pub(crate) fn undo(manner: &Manner<'_>, tool: &Tool, name: &str) -> Result<()> {
    block(async {
        let engine = find_engine(manner).await?;
        for target in [name.to_owned(), format!("{}_{name}", tool.slug)] {
            let kept = engine.volume(&aside(&target)).await.map_err(failed(name))?;
            let Some(kept) = kept else { continue };
            let now = engine.volume(&target).await.map_err(failed(name))?;
            anew(&engine, &target, now.as_ref()).await?;
            let now = engine.volume(&target).await.map_err(failed(name))?;
            if let Some(now) = now {
                let copied = engine.copy_volume(&kept, &now, &labels(tool)).await;
                copied.map_err(failed(name))?;
            }
            engine.remove_volume(&kept.name).await.map_err(failed(name))?;
        }
        Ok(())
    })?
}

/// Forgets what was there before.
pub(crate) fn forget(manner: &Manner<'_>, tool: &Tool, name: &str) -> Result<()> {
    block(async {
        let engine = find_engine(manner).await?;
        for target in [name.to_owned(), format!("{}_{name}", tool.slug)] {
            engine.remove_volume(&aside(&target)).await.map_err(failed(name))?;
        }
        Ok(())
    })?
}
