//! Containers made one by one: definition, networks, files.

use std::collections::HashMap;

use atelier_compose::direct::Put;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, Mount, MountType, NetworkConnectRequest,
    NetworkingConfig,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder,
    UploadToContainerOptionsBuilder,
};
use bytes::Bytes;

use crate::connect::Engine;
use crate::error::{Doing, EngineError, unless};

/// A container to be made.
#[derive(Debug)]
pub struct NewContainer {
    /// Its name.
    pub name: String,
    /// For which processor and system its image is.
    pub platform: Option<String>,
    /// Its definition.
    pub body: ContainerCreateBody,
    /// Its networks, the first one first.
    pub networks: Vec<(String, EndpointSettings)>,
    /// What is put into it.
    pub files: Vec<Put>,
}

impl Engine {
    /// Makes a container; nothing is left of one that could not be made whole.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn create(&self, new: NewContainer) -> Result<String, EngineError> {
        let doing = || format!("make the container {}", new.name);
        let mut options = CreateContainerOptionsBuilder::new().name(&new.name);
        if let Some(platform) = &new.platform {
            options = options.platform(platform);
        }
        let mut body = new.body;
        // More than one at once is not understood by older engines.
        let mut networks = new.networks.into_iter();
        body.networking_config = networks.next().map(|(name, endpoint)| NetworkingConfig {
            endpoints_config: Some(HashMap::from([(name, endpoint)])),
        });
        let made = self.docker.create_container(Some(options.build()), body).await;
        let id = made.doing(doing)?.id;
        let rest = self.complete(&id, networks, &new.files).await;
        if let Err(error) = rest {
            self.remove(&id).await?;
            return Err(error);
        }
        Ok(id)
    }

    async fn complete(
        &self,
        id: &str,
        networks: impl Iterator<Item = (String, EndpointSettings)>,
        files: &[Put],
    ) -> Result<(), EngineError> {
        for (name, endpoint) in networks {
            let request =
                NetworkConnectRequest { container: id.to_owned(), endpoint_config: Some(endpoint) };
            let done = self.docker.connect_network(&name, request).await;
            done.doing(|| format!("connect the container {id} to {name}"))?;
        }
        if !files.is_empty() {
            let doing = || format!("put files into the container {id}");
            let archive = archive(files)
                .map_err(|e| EngineError::Refused { doing: doing(), why: e.to_string() })?;
            let options = UploadToContainerOptionsBuilder::new().path("/").build();
            let body = bollard::body_full(Bytes::from(archive));
            self.docker.upload_to_container(id, Some(options), body).await.doing(doing)?;
        }
        Ok(())
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn rename(&self, id: &str, name: &str) -> Result<(), EngineError> {
        let options = RenameContainerOptionsBuilder::new().name(name).build();
        let done = self.docker.rename_container(id, options).await;
        done.doing(|| format!("rename the container {id} to {name}"))
    }

    /// The volumes of a container that are not in `body`, as mounts for one that takes its place.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn inherited(
        &self,
        id: &str,
        body: &ContainerCreateBody,
    ) -> Result<Vec<Mount>, EngineError> {
        let seen = self.docker.inspect_container(id, None).await;
        let seen = seen.doing(|| format!("look at the container {id}"))?;
        let host = body.host_config.as_ref();
        let mounts = host.and_then(|h| h.mounts.as_ref()).into_iter().flatten();
        let mut taken: Vec<&str> = mounts.filter_map(|m| m.target.as_deref()).collect();
        let binds = host.and_then(|h| h.binds.as_ref()).into_iter().flatten();
        taken.extend(binds.filter_map(|bind| bind.split(':').nth(1)));
        let tmpfs = host.and_then(|h| h.tmpfs.as_ref()).into_iter().flatten();
        taken.extend(tmpfs.map(|(target, _)| target.as_str()));
        let one = |point: bollard::models::MountPoint| {
            let target = point.destination.filter(|t| !taken.contains(&t.as_str()))?;
            (point.typ.as_deref() == Some("volume")).then_some(Mount {
                target: Some(target),
                source: point.name,
                typ: Some(MountType::VOLUME),
                ..Mount::default()
            })
        };
        Ok(seen.mounts.into_iter().flatten().filter_map(one).collect())
    }

    /// Removes a container whose volumes go on in another one.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn replace(&self, id: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).build();
        unless(self.docker.remove_container(id, Some(options)).await, &[404, 409])
            .doing(|| format!("remove the container {id}"))
    }
}

fn archive(files: &[Put]) -> std::io::Result<Vec<u8>> {
    let mut out = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.contents.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(file.uid);
        header.set_gid(file.gid);
        header.set_mtime(0);
        header.set_entry_type(tar::EntryType::Regular);
        out.append_data(&mut header, file.path.trim_start_matches('/'), &file.contents[..])?;
    }
    out.into_inner()
}
