//! Volumes: folders that outlive sandboxes and that several may have at once.
//!
//! A volume is whole as long as its record lies in its folder: written last when it is made, taken
//! away first when it is removed. What a kill leaves in between is taken away at the next start, and
//! a database that lost a volume has it again. Which sandbox has one is said by the sandboxes' records.

mod place;

use std::path::{Component, Path, PathBuf};

use atelier_api::system::Nothing;
use atelier_api::volume::{Volume, VolumeCreateInput, VolumeDetail, VolumeMount, VolumeRef};
use atelier_api::{ExitCode, Problem};
use atelier_launch::{MountSource, WorkspaceMount};
use jiff::Timestamp;
use uuid::Uuid;

use super::record::Record;
use super::{Fleet, broken, conflict, store};
use crate::runtime::Runtime;
use place::size;
pub(super) use place::{VolumeRow, Volumes};

/// What tokens of volumes are for.
const PURPOSE: &str = "volume";
/// Where the kernel's own files are.
const RESERVED: [&str; 3] = ["/proc", "/sys", "/dev"];

impl Fleet {
    /// Makes an empty volume.
    ///
    /// # Errors
    /// `volume.name`, `volume.exists`; what keeps it from being written down.
    pub async fn volume_create(&self, input: VolumeCreateInput) -> Result<VolumeDetail, Problem> {
        check_name(&input.name)?;
        let fleet = self.me()?;
        self.whole(async move {
            // Until it is whole nobody is to take it for what a kill left.
            let _held = fleet.volumes.held.read().await;
            let row =
                VolumeRow { id: Uuid::new_v4(), name: input.name, created_at: Timestamp::now() };
            if !store::claim_volume(&fleet.store, &row).await? {
                let taken = format!("a volume has the name {} already", row.name);
                return Err(conflict("volume.exists", taken)
                    .hint("choose another name, or remove that volume"));
            }
            if let Err(error) = fleet.volumes.make(&row) {
                fleet.volumes.erase(row.id)?;
                store::forget_volume(&fleet.store, row.id).await?;
                return Err(error.into());
            }
            fleet.volume_detail(&row).await
        })
        .await
    }

    /// Lists volumes, by name.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn volume_list(&self) -> Result<Vec<Volume>, Problem> {
        let rows = store::volumes(&self.store).await?;
        Ok(rows.iter().map(|row| self.volume_view(row)).collect())
    }

    /// Shows one volume, with the token that opens its files.
    ///
    /// # Errors
    /// When there is none.
    pub async fn volume_show(&self, input: VolumeRef) -> Result<VolumeDetail, Problem> {
        self.volume_detail(&self.volume(&input.volume).await?).await
    }

    /// Removes a volume with everything in it.
    ///
    /// # Errors
    /// `volume.used` when a sandbox has it; when there is none.
    pub async fn volume_remove(&self, input: VolumeRef) -> Result<Nothing, Problem> {
        let fleet = self.me()?;
        self.whole(async move {
            let _held = fleet.volumes.held.write().await;
            let row = fleet.volume(&input.volume).await?;
            let users = fleet.users(row.id);
            if let Some(first) = users.first() {
                let label = format!("the sandbox {}", first.label());
                let others = match users.len() - 1 {
                    0 => label,
                    more => format!("{label} and {more} more"),
                };
                let used = format!("{others} has the volume {}", row.name);
                return Err(conflict("volume.used", used).hint("remove the sandbox first"));
            }
            fleet.volumes.condemn(row.id)?;
            store::forget_volume(&fleet.store, row.id).await?;
            let (fleet, id) = (fleet.clone(), row.id);
            let erased = tokio::task::spawn_blocking(move || fleet.volumes.erase(id));
            erased.await.map_err(|e| broken(&e))??;
            Ok(Nothing {})
        })
        .await
    }

    /// The folder with a volume's files, for whoever shows its token.
    #[must_use]
    pub fn volume_folder(&self, id: &str, token: &str) -> Option<PathBuf> {
        let id: Uuid = id.parse().ok()?;
        let shown = self.secret.token(PURPOSE, id) == token;
        let data = self.volumes.data(id);
        (shown && Volumes::is_whole(&data)).then_some(data)
    }

    /// The mounts of a new sandbox; its volumes are called by their names from then on.
    pub(super) async fn mounts(
        &self,
        asked: &mut [VolumeMount],
        runtime: &dyn Runtime,
    ) -> Result<Vec<WorkspaceMount>, Problem> {
        if !asked.is_empty() && !runtime.capabilities().volumes {
            return Err(Problem::new(
                "volume.runtime",
                ExitCode::Usage,
                format!("sandboxes of the runtime {} can't have volumes", runtime.name()),
            )
            .hint("choose the runtime oci or gvisor"));
        }
        let mut mounts: Vec<WorkspaceMount> = Vec::with_capacity(asked.len());
        for one in asked {
            let target = target(&one.path)?;
            if mounts.iter().any(|m| m.target.starts_with(&target) || target.starts_with(&m.target))
            {
                let why = format!("two volumes can't be at {} and below it", one.path);
                return Err(Problem::new("volume.path", ExitCode::Usage, why));
            }
            let row = self.volume(&one.volume).await?;
            one.volume = row.name;
            let source = MountSource::Bind { source: self.volumes.data(row.id), readonly: false };
            mounts.push(WorkspaceMount { target, source });
        }
        Ok(mounts)
    }

    /// Whether the volumes of a sandbox that is about to be made have not gone since it was planned.
    pub(super) fn volumes_are_there(&self, record: &Record) -> Result<(), Problem> {
        let there = |mount: &WorkspaceMount| match &mount.source {
            MountSource::Bind { source, .. } => Volumes::is_whole(source),
            MountSource::Overlay { .. } => true,
        };
        let mut volumes = record.options.volumes.iter().zip(&record.mounts);
        match volumes.find(|(_, mount)| !there(mount)) {
            Some((volume, _)) => Err(no_volume(&volume.volume)),
            None => Ok(()),
        }
    }

    /// After a start: what a kill left half-made or half-removed goes, what the database lost is back.
    pub(super) async fn recover_volumes(&self) -> Result<Vec<String>, Problem> {
        let _held = self.volumes.held.write().await;
        let mut rows = store::volumes(&self.store).await?;
        let mut mended = Vec::new();
        for (id, row) in self.volumes.found() {
            let known = rows.iter().position(|other| other.id == id);
            let known = known.map(|at| rows.swap_remove(at));
            match (known, row) {
                (Some(_), Some(_)) => {}
                (None, Some(row)) => mended.push(self.take_back(row).await?),
                (_, None) => {
                    self.volumes.erase(id)?;
                    store::forget_volume(&self.store, id).await?;
                    mended.push(format!("took back the volume {id}"));
                }
            }
        }
        for row in rows {
            store::forget_volume(&self.store, row.id).await?;
            mended.push(format!("the files of the volume {} are gone", row.name));
        }
        Ok(mended)
    }

    /// Gives the database a volume that it lost.
    async fn take_back(&self, mut row: VolumeRow) -> Result<String, Problem> {
        if !store::claim_volume(&self.store, &row).await? {
            // Its name went to another one meanwhile.
            row.name = format!("{}-{}", row.name, row.id.simple());
            store::claim_volume(&self.store, &row).await?;
        }
        Ok(format!("the database had lost the volume {}", row.name))
    }

    async fn volume(&self, asked: &str) -> Result<VolumeRow, Problem> {
        let id: Option<Uuid> = asked.parse().ok();
        let rows = store::volumes(&self.store).await?;
        let fits = |row: &VolumeRow| row.name == asked || Some(row.id) == id;
        rows.into_iter().find(fits).ok_or_else(|| no_volume(asked))
    }

    /// The sandboxes that have a volume.
    fn users(&self, id: Uuid) -> Vec<Record> {
        let data = self.volumes.data(id);
        let has = |record: &Record| {
            record.mounts.iter().any(|mount| {
                matches!(&mount.source, MountSource::Bind { source, .. } if *source == data)
            })
        };
        self.all().iter().map(|entry| entry.record()).filter(has).collect()
    }

    fn volume_view(&self, row: &VolumeRow) -> Volume {
        Volume {
            id: row.id.simple().to_string(),
            name: row.name.clone(),
            created_at: row.created_at,
            sandboxes: self.users(row.id).iter().map(Record::public_id).collect(),
        }
    }

    async fn volume_detail(&self, row: &VolumeRow) -> Result<VolumeDetail, Problem> {
        let data = self.volumes.data(row.id);
        let size = tokio::task::spawn_blocking(move || size(&data)).await;
        Ok(VolumeDetail {
            volume: self.volume_view(row),
            size_bytes: size.map_err(|e| broken(&e))?,
            token: self.secret.token(PURPOSE, row.id),
        })
    }
}

fn check_name(name: &str) -> Result<(), Problem> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if (1..=128).contains(&name.len()) && name.bytes().all(plain) && name.parse::<Uuid>().is_err() {
        return Ok(());
    }
    let why = format!("the name {name:?} is not valid: 1 to 128 letters, digits, - and _");
    Err(Problem::new("volume.name", ExitCode::Usage, why))
}

/// The path inside, without what would lead elsewhere.
fn target(path: &str) -> Result<PathBuf, Problem> {
    let wrong = |why: &str| {
        let why = format!("a volume can't be at {path:?}: {why}");
        Err(Problem::new("volume.path", ExitCode::Usage, why))
    };
    let target: PathBuf = Path::new(path).components().collect();
    if !target.is_absolute() {
        return wrong("it is no absolute path");
    }
    if target.components().any(|part| part == Component::ParentDir) || path.contains('\0') {
        return wrong("the path has a part that can't be used");
    }
    if target == Path::new("/") || RESERVED.iter().any(|own| target.starts_with(own)) {
        return wrong("the system's own files are there");
    }
    Ok(target)
}

fn no_volume(asked: &str) -> Problem {
    Problem::new("volume.not_found", ExitCode::NotFound, format!("there is no volume {asked:?}"))
        .hint("'atelier volume ls' lists those that there are")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_nowhere_in_the_systems_own_files() {
        assert_eq!(target("/data/").unwrap(), Path::new("/data"));
        assert_eq!(target("/a//b/./c").unwrap(), Path::new("/a/b/c"));
        for bad in ["", "data", "/", "//", "/../etc", "/a/../..", "/proc", "/dev/shm", "/sys/x"] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_is_none_that_is_taken_for_an_id() {
        for good in ["cache", "My_cache-2"] {
            check_name(good).unwrap();
        }
        let id = Uuid::new_v4().simple().to_string();
        for bad in ["", "a b", "a/b", "..", "ä", &id, &"x".repeat(129)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
