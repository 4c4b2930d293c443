//! Pulling: from a name in a registry to an image that is here, whole.

use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;

use crate::commit::new_tree;
use crate::digest::{Digest, Hashing};
use crate::layers::Size;
use crate::manifest::{Descriptor, Document, Manifest, RawConfig, choose};
use crate::platform::Platform;
use crate::records::Named;
use crate::reference::Reference;
use crate::registry::{Clients, Registry, endpoints};
use crate::store::Temp;
use crate::unpack::{Budget, CancelOnDrop, Content, LayerError, unpack};
use crate::{Image, ImageError, ImageStore, LayerId, Progress, PullOptions, Result};

/// How often a layer is tried when the connection breaks.
const ATTEMPTS: u32 = 3;
/// How many pieces of a download may wait for the disk.
const QUEUE: usize = 32;
/// How often progress is told, in bytes.
const TELL: u64 = 512 * 1024;

type Told<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// An image as a registry has it.
struct Found {
    registry: Registry,
    /// The digest of what the name stands for: an index, or the manifest itself.
    digest: Digest,
    manifest: Manifest,
}

/// One layer to be had.
struct Wanted<'a> {
    registry: &'a Registry,
    blob: &'a Descriptor,
    id: LayerId,
    diff_id: &'a Digest,
}

impl ImageStore {
    /// Gets an image from its registry. One of this name that is here already is returned without
    /// asking, unless `always` is set.
    ///
    /// # Errors
    /// [`ImageError::NotInRegistry`], [`ImageError::Unauthorized`], [`ImageError::Stalled`] and
    /// the others: each says what it is.
    pub async fn pull(
        &self,
        reference: &str,
        options: &PullOptions,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Image> {
        let wanted = options.platform.as_deref().map(Platform::parse).transpose()?;
        if !options.always
            && let Some(image) = self.get(reference).ok()
            && wanted.as_ref().is_none_or(|w| image.platform().fits(w))
        {
            return Ok(image);
        }
        let reference = Reference::parse(reference)?;
        let wanted = wanted.unwrap_or_else(Platform::here);
        progress(Progress::Resolving { name: reference.name() });
        let found = self.find(&reference, &wanted).await?;
        self.fetch(&reference, &wanted, &found, progress).await
    }

    /// Asks mirrors, then the registry.
    async fn find(&self, reference: &Reference, wanted: &Platform) -> Result<Found> {
        let options = &self.inner.options;
        let make = || async {
            let options = options.clone();
            tokio::task::spawn_blocking(move || Clients::new(&options)).await?
        };
        let clients = self.inner.http.get_or_try_init(make).await?;
        let mut all = endpoints(options, &reference.registry)?.into_iter().peekable();
        while let Some(endpoint) = all.next() {
            let host = endpoint.host.clone();
            let found = async {
                let registry = Registry::new(clients, endpoint, reference.clone(), options).await?;
                resolve(registry, reference, wanted).await
            };
            match found.await {
                Err(error) if all.peek().is_some() => {
                    tracing::info!(%error, mirror = host, "the mirror does not have it");
                }
                result => return result,
            }
        }
        Err(ImageError::NotHere(reference.name()))
    }

    async fn fetch(
        &self,
        reference: &Reference,
        wanted: &Platform,
        found: &Found,
        progress: Told<'_>,
    ) -> Result<Image> {
        let name = reference.name();
        let bytes = found.registry.config(&found.manifest.config.digest()?).await?;
        let config = RawConfig::read(&bytes)?;
        if !config.architecture.is_empty() && !config.platform().fits(wanted) {
            return Err(ImageError::WrongPlatform {
                name,
                wanted: wanted.to_string(),
                offered: vec![config.platform().to_string()],
            });
        }
        let diff_ids = config.diff_ids()?;
        self.check_layers(diff_ids.len(), found.manifest.layers.len())?;
        let record = config.record(&bytes, Some(found.digest.to_string()))?;
        let _pin = self.pin(&record.layers)?;
        let mut seen = HashSet::new();
        let layers: Vec<_> = found
            .manifest
            .layers
            .iter()
            .zip(&diff_ids)
            .map(|(blob, diff_id)| (blob, diff_id, LayerId::new(diff_id)))
            .filter(|(_, _, id)| seen.insert(id.clone()))
            .collect();
        let missing = layers.iter().filter(|(_, _, id)| self.layer(id).is_none());
        let bytes = missing.map(|(blob, ..)| blob.size).sum();
        progress(Progress::Resolved { layers: layers.len(), bytes });

        let budget = Budget::new(self.inner.options.limits, self.root());
        let _cancel = CancelOnDrop(Arc::clone(&budget));
        stream::iter(layers)
            .map(|(blob, diff_id, id)| {
                let wanted = Wanted { registry: &found.registry, blob, id, diff_id };
                self.layer_from(wanted, &budget, progress)
            })
            .buffer_unordered(self.inner.options.parallel.max(1))
            .try_collect::<()>()
            .await?;
        let digest = Some(found.digest.to_string());
        self.keep(&record, &[Named { name, id: record.id.clone(), digest }])
    }

    /// Whether a manifest and a configuration speak of the same number of layers, and not of too
    /// many.
    pub(crate) fn check_layers(&self, diff_ids: usize, layers: usize) -> Result<()> {
        let most = self.inner.options.limits.layers;
        if diff_ids != layers {
            return Err(ImageError::invalid(
                "the image",
                format!("its manifest has {layers} layers, its configuration {diff_ids}"),
            ));
        }
        if layers > most {
            let why = LayerError::TooLarge(format!("it is one of {layers}, {most} are allowed"));
            return Err(LayerError::of("on top")(why));
        }
        Ok(())
    }

    /// Makes sure that a layer is here.
    async fn layer_from(
        &self,
        wanted: Wanted<'_>,
        budget: &Arc<Budget>,
        progress: Told<'_>,
    ) -> Result<()> {
        let layer = wanted.id.clone();
        let _alone = self.alone(layer.as_str()).await;
        if self.layer(&layer).is_some() {
            progress(Progress::Ready { layer, cached: true });
            return Ok(());
        }
        let blob = self.download(&wanted, budget, progress).await?;
        progress(Progress::Unpacking { layer: layer.clone() });
        let (store, budget, id) = (self.clone(), Arc::clone(budget), layer.clone());
        let diff_id = wanted.diff_id.clone();
        tokio::task::spawn_blocking(move || {
            let path = blob.path().join("blob");
            let file = File::open(&path).map_err(ImageError::io("reading", &path))?;
            store.unpack_layer(&id, &diff_id, file, &budget)
        })
        .await??;
        progress(Progress::Ready { layer, cached: false });
        Ok(())
    }

    /// Unpacks a layer, checks that it is the one it should be, and puts it into the store.
    pub(crate) fn unpack_layer(
        &self,
        layer: &LayerId,
        diff_id: &Digest,
        archive: impl std::io::Read,
        budget: &Arc<Budget>,
    ) -> Result<()> {
        let made = self.temp()?;
        let tree = new_tree(&made)?;
        let done = unpack(archive, &tree, budget, Content::Layer).map_err(LayerError::of(layer))?;
        diff_id.matches(format!("the layer {layer}, unpacked,"), &done.diff_id)?;
        self.publish(layer, &made, done.opaque, Size::Now)
    }

    /// A folder with the file `blob`, whose digest is what it should be.
    async fn download(
        &self,
        wanted: &Wanted<'_>,
        budget: &Arc<Budget>,
        progress: Told<'_>,
    ) -> Result<Temp> {
        let (size, layer) = (wanted.blob.size, &wanted.id);
        let digest = wanted.blob.digest()?;
        budget.space(size).map_err(LayerError::of(layer))?;
        if size > self.inner.options.limits.bytes {
            let why = LayerError::TooLarge(format!("{size} bytes compressed"));
            return Err(LayerError::of(layer)(why));
        }
        let mut attempt = 1;
        loop {
            match self.download_once(wanted, &digest, progress).await {
                Err(ImageError::Truncated { .. } | ImageError::Unreachable { .. })
                    if attempt < ATTEMPTS =>
                {
                    tokio::time::sleep(Duration::from_millis(200) * attempt).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn download_once(
        &self,
        wanted: &Wanted<'_>,
        digest: &Digest,
        progress: Told<'_>,
    ) -> Result<Temp> {
        let temp = self.temp()?;
        let path = temp.path().join("blob");
        let (sender, mut pieces) = mpsc::channel::<Vec<u8>>(QUEUE);
        let writer = tokio::task::spawn_blocking(move || -> Result<(Digest, Temp)> {
            let fail = ImageError::io::<std::io::Error>;
            let file = File::create_new(&path).map_err(fail("making", &path))?;
            let mut file = Hashing::new(file);
            while let Some(piece) = pieces.blocking_recv() {
                std::io::Write::write_all(&mut file, &piece).map_err(fail("writing", &path))?;
            }
            Ok((file.digest(), temp))
        });
        let total = wanted.blob.size;
        let told = std::sync::atomic::AtomicU64::new(0);
        let tell = |done: u64| {
            use std::sync::atomic::Ordering::Relaxed;
            if done == total || done - told.load(Relaxed) >= TELL {
                told.store(done, Relaxed);
                progress(Progress::Downloading { layer: wanted.id.clone(), done, total });
            }
        };
        let sent = wanted.registry.download(digest, total, &sender, &tell).await;
        drop(sender);
        // When the disk is full, the writer knows, and the download just ended.
        let (found, temp) = writer.await??;
        sent?;
        digest.matches(format!("the layer {digest}"), &found)?;
        Ok(temp)
    }
}

/// From a name to a manifest for a platform.
async fn resolve(registry: Registry, reference: &Reference, wanted: &Platform) -> Result<Found> {
    let name = reference.name();
    let (bytes, kind) = registry.manifest(&reference.selector()).await?;
    let digest = Digest::of(&bytes);
    if let Some(expected) = &reference.digest {
        expected.matches(format!("the manifest of {name}"), &digest)?;
    }
    let manifest =
        match Document::read(&format!("the manifest of {name}"), &bytes, kind.as_deref())? {
            Document::Manifest(manifest) => manifest,
            Document::Index(manifests) => {
                let chosen = choose(&name, &manifests, wanted)?.digest()?;
                let (bytes, kind) = registry.manifest(&chosen.to_string()).await?;
                chosen.check(format!("the manifest of {name} for {wanted}"), &bytes)?;
                match Document::read(&format!("the manifest of {name}"), &bytes, kind.as_deref())? {
                    Document::Manifest(manifest) => manifest,
                    Document::Index(_) => {
                        return Err(ImageError::invalid(
                            format!("the index of {name}"),
                            "it lists another index",
                        ));
                    }
                }
            }
        };
    Ok(Found { registry, digest, manifest })
}

impl Image {
    pub(crate) fn platform(&self) -> Platform {
        Platform::new(&self.os, &self.architecture, None)
    }
}
