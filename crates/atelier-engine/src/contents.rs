//! What is in volumes: read and written as tar through the engine, so that it does not matter where the
//! engine runs and as whom; copied as folders where both lie on this machine and are ours to read.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions};
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptionsBuilder, DownloadFromContainerOptionsBuilder,
    ListImagesOptions, RemoveContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::process::Command;

use crate::connect::{Engine, Kind};
use crate::error::{Doing, EngineError, unless};
use crate::top;
use crate::volumes::Volume;

/// Where a holder has its volume.
const PLACE: &str = "/.atelier-data";
/// The same as an entry of a tar at the top of the container.
const ENTRY: &str = ".atelier-data/";
/// An image of nothing, for engines that have no image at all.
const NOTHING: (&str, &str) = ("atelier/nothing", "1");
/// How long writing one volume may take: the engine answers only at its end.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// Bytes that come as they are read.
pub type Contents = Pin<Box<dyn Stream<Item = Result<Bytes, EngineError>> + Send>>;

/// A container that is never started and has a volume, for as long as it is at hand.
#[derive(Debug)]
pub struct Holder {
    docker: Docker,
    kind: Kind,
    id: String,
    volume: String,
}

impl Engine {
    /// Takes hold of a volume.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn hold(
        &self,
        volume: &str,
        labels: HashMap<String, String>,
    ) -> Result<Holder, EngineError> {
        let mount = Mount {
            target: Some(PLACE.to_owned()),
            source: Some(volume.to_owned()),
            typ: Some(MountType::VOLUME),
            volume_options: Some(MountVolumeOptions {
                no_copy: Some(true),
                ..MountVolumeOptions::default()
            }),
            ..Mount::default()
        };
        let body = ContainerCreateBody {
            image: Some(self.any_image().await?),
            entrypoint: Some(vec!["never-started".to_owned()]),
            labels: Some(labels),
            host_config: Some(HostConfig {
                mounts: Some(vec![mount]),
                network_mode: Some("none".to_owned()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let made = self.docker.create_container(None::<CreateContainerOptions>, body).await;
        let id = made.doing(|| format!("take hold of the volume {volume}"))?.id;
        Ok(Holder { docker: self.docker.clone(), kind: self.kind(), id, volume: volume.to_owned() })
    }

    /// Any image: nothing of it is ever run.
    async fn any_image(&self) -> Result<String, EngineError> {
        let images = self.docker.list_images(None::<ListImagesOptions>).await;
        let images = images.doing(|| "list images".into())?;
        if let Some(image) = images.into_iter().next() {
            return Ok(image.id);
        }
        let (repo, tag) = NOTHING;
        let options = CreateImageOptionsBuilder::new().from_src("-").repo(repo).tag(tag).build();
        // The end of an archive, and nothing before it.
        let empty = bollard::body_full(Bytes::from_static(&[0; 1024]));
        let mut said = std::pin::pin!(self.docker.create_image(Some(options), Some(empty), None));
        while let Some(line) = said.next().await {
            line.doing(|| "make an image of nothing".into())?;
        }
        Ok(format!("{repo}:{tag}"))
    }

    /// Copies what is in one volume into another, which is empty.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn copy_volume(
        &self,
        from: &Volume,
        to: &Volume,
        labels: &HashMap<String, String>,
    ) -> Result<(), EngineError> {
        if self.at_hand(from, to) && clone(&from.path, &to.path).await {
            return Ok(());
        }
        let source = self.hold(&from.name, labels.clone()).await?;
        let target = self.hold(&to.name, labels.clone()).await;
        let done = match &target {
            Ok(target) => target.write(source.read()).await,
            Err(_) => Ok(()),
        };
        source.close().await?;
        target?.close().await?;
        done
    }

    /// Whether both are folders of this machine that we may read and write as they are.
    fn at_hand(&self, from: &Volume, to: &Volume) -> bool {
        let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        let empty = |path: &Path| std::fs::read_dir(path).is_ok_and(|mut all| all.next().is_none());
        // The new one was made a moment ago under a name that nobody else has: where it is seen, the
        // engine's files are this machine's, and not those of a machine behind its socket.
        let ours = to.path.components().any(|part| part.as_os_str() == to.name.as_str());
        root && !self.rootless()
            && from.plain
            && to.plain
            && ours
            && empty(&to.path)
            && from.path.is_dir()
    }
}

/// Copies a folder by clones where the filesystem has them. `false` when it is not to be had this way.
async fn clone(from: &Path, to: &Path) -> bool {
    let mut command = Command::new("cp");
    command.args(["-a", "--reflink=auto", "-T", "--"]).arg(from).arg(to);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    match command.output().await {
        Ok(done) if done.status.success() => true,
        Ok(done) => {
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            tracing::debug!(said, "a volume is copied through the engine instead");
            false
        }
        Err(_) => false,
    }
}

impl Holder {
    /// What is in the volume, as tar.
    #[must_use]
    pub fn read(&self) -> Contents {
        let path = format!("{PLACE}/.");
        let options = DownloadFromContainerOptionsBuilder::new().path(&path).build();
        let volume = self.volume.clone();
        let docker = self.docker.clone().with_timeout(LONG);
        let pieces = docker.download_from_container(&self.id, Some(options));
        Box::pin(pieces.map(move |piece| piece.doing(|| format!("read the volume {volume}"))))
    }

    /// Puts what is in a tar into the volume.
    ///
    /// # Errors
    /// [`EngineError::Refused`], and the failure of where it comes from.
    pub async fn write(&self, contents: Contents) -> Result<(), EngineError> {
        let (contents, beginning) = with_beginning(contents);
        self.put(PLACE, contents).await?;
        if self.kind == Kind::Docker {
            let beginning = beginning.lock().unwrap_or_else(PoisonError::into_inner).split_off(0);
            if let Some(archive) = top::named(&beginning, ENTRY) {
                let whole = futures_util::stream::iter([Ok(Bytes::from(archive))]);
                self.put("/", Box::pin(whole)).await?;
            }
        }
        Ok(())
    }

    async fn put(&self, path: &str, contents: Contents) -> Result<(), EngineError> {
        let body = bollard::body_try_stream(contents.map_err(std::io::Error::other));
        let options = UploadToContainerOptionsBuilder::new().path(path).build();
        let docker = self.docker.clone().with_timeout(LONG);
        let done = docker.upload_to_container(&self.id, Some(options), body).await;
        done.doing(|| format!("write the volume {}", self.volume))
    }

    /// Lets go of the volume.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn close(mut self) -> Result<(), EngineError> {
        let id = std::mem::take(&mut self.id);
        remove(&self.docker, &id).await
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let id = std::mem::take(&mut self.id);
        if let (false, Ok(handle)) = (id.is_empty(), tokio::runtime::Handle::try_current()) {
            let docker = self.docker.clone();
            handle.spawn(async move {
                if let Err(error) = remove(&docker, &id).await {
                    tracing::warn!(%error, "a container that only held a volume stays behind");
                }
            });
        }
    }
}

/// The same, and the beginning of what went by.
fn with_beginning(contents: Contents) -> (Contents, Arc<Mutex<Vec<u8>>>) {
    let beginning = Arc::new(Mutex::new(Vec::new()));
    let kept = beginning.clone();
    let seen = contents.inspect_ok(move |piece| {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = top::BEGINNING.saturating_sub(kept.len());
        kept.extend_from_slice(&piece[..missing.min(piece.len())]);
    });
    (Box::pin(seen), beginning)
}

async fn remove(docker: &Docker, id: &str) -> Result<(), EngineError> {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    unless(docker.remove_container(id, Some(options)).await, &[404, 409])
        .doing(|| format!("remove the container {id}"))
}
