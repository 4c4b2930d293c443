//! Removing a sandbox with everything in it.

use atelier_api::Problem;
use atelier_api::sandbox::{SandboxRemoveInput, SandboxState};
use atelier_api::system::Nothing;

use super::{Entry, Fleet, broken, no_sandbox, store};
use crate::{Root, SandboxError};

impl Fleet {
    /// Removes a sandbox.
    ///
    /// # Errors
    /// When there is none, or a process or file of it can't be removed: the next start goes on.
    pub async fn remove(&self, input: SandboxRemoveInput) -> Result<Nothing, Problem> {
        let (fleet, entry) = (self.me()?, self.find(&input.sandbox)?);
        self.whole(async move {
            fleet.remove_entry(&entry).await?;
            Ok(Nothing {})
        })
        .await
    }

    pub(super) async fn remove_entry(&self, entry: &Entry) -> Result<(), Problem> {
        let _change = entry.change.lock().await;
        if !self.entries().contains_key(&entry.id) {
            return Err(no_sandbox(&entry.record().public_id()));
        }
        self.write(entry, |record| record.state = SandboxState::Removing).await?;
        self.discard(entry).await?;
        self.announce(entry.id, "removed");
        Ok(())
    }

    /// Takes everything of it away; repeatable.
    pub(super) async fn discard(&self, entry: &Entry) -> Result<(), Problem> {
        self.sandboxes.release(entry.id).await?;
        let folder = self.sandboxes.folders(entry.id).root().to_owned();
        let gone = folder.clone();
        tokio::task::spawn_blocking(move || match std::fs::remove_dir_all(&gone) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        })
        .await
        .map_err(|e| broken(&e))?
        .map_err(SandboxError::io("removing", folder))?;
        store::forget(&self.store, entry.id).await?;
        self.entries().remove(&entry.id);
        self.sandboxes.set_standalone(entry.id, false);
        let root = entry.record().root;
        self.drop_unnamed(&root).await;
        Ok(())
    }

    /// Removes an image that only a snapshot or a fork had, when the last user is gone.
    pub(super) async fn drop_unnamed(&self, root: &Root) {
        let Root::Image(id) = root else { return };
        let unnamed = self.image_store().get(id).is_ok_and(|image| image.names.is_empty());
        if !unnamed {
            return;
        }
        let used = match self.images_in_use().await {
            Ok(used) => used,
            Err(error) => return tracing::warn!(%error, "an image stays for the next prune"),
        };
        if used.contains(id) {
            return;
        }
        let (images, id) = (self.image_store().clone(), id.clone());
        let removed = tokio::task::spawn_blocking(move || {
            images.remove(&id, &|other| used.contains(&other.to_string()), false)
        });
        if let Ok(Err(error)) = removed.await {
            tracing::warn!(%error, "an image stays for the next prune");
        }
    }
}
