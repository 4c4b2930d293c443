//! Operations on images, with what the fleet knows of their use.

use std::collections::HashSet;
use std::time::Duration;

use atelier_api::Problem;
use atelier_api::image::{
    Image, ImageBuildInput, ImageBuilt, ImageImportInput, ImagePruneInput, ImagePullInput,
    ImageRemoveInput, ImagesRemoved,
};
use atelier_image::{BuildRequest, PullOptions, Removed};

use super::{Fleet, broken, store};
use crate::Root;

/// How long a warm machine may be unused: a week, and what a start from it takes at most.
const LONG_UNUSED: Duration = Duration::from_secs(7 * 24 * 3600);
const JUST_USED: Duration = Duration::from_secs(300);

impl Fleet {
    /// Lists images, the newest first.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn image_list(&self) -> Result<Vec<Image>, Problem> {
        let mut all: Vec<_> = self.image_store().list()?.iter().map(view).collect();
        all.sort_by_key(|image| std::cmp::Reverse(image.created_at));
        Ok(all)
    }

    /// Pulls an image.
    ///
    /// # Errors
    /// What the registry says, or what is wrong with what it sends.
    pub async fn image_pull(&self, input: ImagePullInput) -> Result<Image, Problem> {
        let options = PullOptions { platform: input.platform, always: true };
        Ok(view(&self.pull(input.reference, options).await?))
    }

    /// Pulls on a thread of its own, to the end even when the caller goes away. The future of a
    /// pull can't be moved between threads.
    pub(super) async fn pull(
        &self,
        reference: String,
        options: PullOptions,
    ) -> Result<atelier_image::Image, Problem> {
        let (images, runtime) = (self.image_store().clone(), tokio::runtime::Handle::current());
        let pull = move || runtime.block_on(images.pull(&reference, &options, &|_| ()));
        Ok(tokio::task::spawn_blocking(pull).await.map_err(|e| broken(&e))??)
    }

    /// Imports an image from this machine.
    ///
    /// # Errors
    /// What is wrong with the archive.
    pub async fn image_import(&self, input: ImageImportInput) -> Result<Image, Problem> {
        let images = self.image_store().clone();
        self.whole(
            async move { Ok(view(&images.import(&input.path.0, input.name.as_deref()).await?)) },
        )
        .await
    }

    /// Builds an image from a Dockerfile.
    ///
    /// # Errors
    /// When no builder is there, or the build fails.
    pub async fn image_build(&self, input: ImageBuildInput) -> Result<ImageBuilt, Problem> {
        let images = self.image_store().clone();
        self.whole(async move {
            let log = std::sync::Mutex::new(String::new());
            let request = BuildRequest {
                context: input.context.0,
                dockerfile: input.dockerfile.map(|path| path.0),
                tag: Some(input.name),
                build_args: input.arguments,
                target: input.target,
                no_cache: input.no_cache,
            };
            let note = |line: &str| {
                if let Ok(mut log) = log.lock() {
                    log.push_str(line);
                    log.push('\n');
                }
            };
            let image = view(&images.build(&request, &note).await?);
            Ok(ImageBuilt { image, log: log.into_inner().unwrap_or_default() })
        })
        .await
    }

    /// Removes an image, or one of its names.
    ///
    /// # Errors
    /// When a sandbox, template or snapshot uses it.
    pub async fn image_remove(&self, input: ImageRemoveInput) -> Result<ImagesRemoved, Problem> {
        let used = self.images_in_use().await?;
        let images = self.image_store().clone();
        let remove = move || {
            let in_use = |id: &atelier_image::ImageId| used.contains(&id.to_string());
            images.remove(&input.image, &in_use, input.force)
        };
        Ok(removed(tokio::task::spawn_blocking(remove).await.map_err(|e| broken(&e))??))
    }

    /// Removes images that nothing uses, and warm machines that were not used for long.
    ///
    /// # Errors
    /// When a file can't be removed.
    pub async fn image_prune(&self, input: ImagePruneInput) -> Result<ImagesRemoved, Problem> {
        let used = self.images_in_use().await?;
        let images = self.image_store().clone();
        let (fleet, all) = (self.me()?, input.all);
        let prune = move || -> Result<_, Problem> {
            let mut done = removed(images.prune(&|id| used.contains(&id.to_string()), all)?);
            let unused = if all { JUST_USED } else { LONG_UNUSED };
            for runtime in fleet.sandboxes.runtimes() {
                done.freed_bytes += runtime.prune(unused)?;
            }
            Ok(done)
        };
        tokio::task::spawn_blocking(prune).await.map_err(|e| broken(&e))?
    }

    /// Ids of images that a sandbox, a snapshot or a template starts from.
    pub(super) async fn images_in_use(&self) -> Result<HashSet<String>, Problem> {
        let mut used = HashSet::new();
        let mut add = |root: Root| {
            if let Root::Image(id) = root {
                used.insert(id);
            }
        };
        self.all().into_iter().for_each(|entry| add(entry.record().root));
        store::snapshots(&self.store).await?.into_iter().for_each(|row| add(row.root));
        for template in store::templates(&self.store).await? {
            add(Root::Image(template.image));
        }
        Ok(used)
    }
}

fn view(image: &atelier_image::Image) -> Image {
    Image {
        id: image.id.to_string(),
        names: image.names.clone(),
        digest: image.digest.clone(),
        platform: format!("{}/{}", image.os, image.architecture),
        layers: image.layers.len() as u64,
        size_bytes: image.size_bytes,
        created_at: image.created_at,
    }
}

fn removed(removed: Removed) -> ImagesRemoved {
    ImagesRemoved { removed: removed.untagged, freed_bytes: removed.freed_bytes }
}
