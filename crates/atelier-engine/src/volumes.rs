//! Volumes: found by label, made, removed.

use std::collections::HashMap;
use std::path::PathBuf;

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder};

use crate::connect::Engine;
use crate::error::{Doing, EngineError, unless};

/// A volume that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Where it lies on the engine's machine.
    pub path: PathBuf,
    /// Its labels.
    pub labels: HashMap<String, String>,
}

impl Engine {
    /// The volumes that have all of these labels.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn volumes(&self, labels: &[String]) -> Result<Vec<Volume>, EngineError> {
        let filters = HashMap::from([("label", labels.to_vec())]);
        let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
        let listed = self.docker.list_volumes(Some(options)).await;
        let listed = listed.doing(|| "list volumes".into())?.volumes.unwrap_or_default();
        let read = |v: bollard::models::Volume| Volume {
            name: v.name,
            path: v.mountpoint.into(),
            labels: v.labels,
        };
        Ok(listed.into_iter().map(read).collect())
    }

    /// Makes a volume, unless it is there.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn make_volume(
        &self,
        name: &str,
        labels: HashMap<String, String>,
    ) -> Result<Volume, EngineError> {
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some(labels),
            ..VolumeCreateRequest::default()
        };
        let made = self.docker.create_volume(request).await;
        let made = made.doing(|| format!("make the volume {name}"))?;
        Ok(Volume { name: made.name, path: made.mountpoint.into(), labels: made.labels })
    }

    /// Removes a volume.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when a container has it.
    pub async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let options = RemoveVolumeOptionsBuilder::new().force(true).build();
        unless(self.docker.remove_volume(name, Some(options)).await, &[404])
            .doing(|| format!("remove the volume {name}"))
    }
}
