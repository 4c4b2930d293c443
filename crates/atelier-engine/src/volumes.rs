//! Volumes: found by label, made, removed.

use std::collections::HashMap;
use std::path::PathBuf;

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder};

use crate::connect::Engine;
use crate::error::{Doing, EngineError, status, unless};

/// A volume that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Where it lies on the engine's machine.
    pub path: PathBuf,
    /// Its labels.
    pub labels: HashMap<String, String>,
    /// Whether it is a plain folder: no driver's options, which are in force only while it is mounted.
    pub plain: bool,
}

/// A volume to make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewVolume {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: HashMap<String, String>,
    /// Its driver, when it is not the engine's own.
    pub driver: Option<String>,
    /// What the driver is told.
    pub options: HashMap<String, String>,
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
        Ok(listed.into_iter().map(read).collect())
    }

    /// The volume of this name, if there is one.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn volume(&self, name: &str) -> Result<Option<Volume>, EngineError> {
        match self.docker.inspect_volume(name).await {
            Err(error) if status(&error) == Some(404) => Ok(None),
            seen => Ok(Some(read(seen.doing(|| format!("look at the volume {name}"))?))),
        }
    }

    /// Makes a volume, unless it is there.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn make_volume(&self, new: NewVolume) -> Result<Volume, EngineError> {
        let name = new.name.clone();
        let request = VolumeCreateRequest {
            name: Some(new.name),
            labels: Some(new.labels),
            driver: new.driver,
            driver_opts: Some(new.options),
            ..VolumeCreateRequest::default()
        };
        let made = self.docker.create_volume(request).await;
        Ok(read(made.doing(|| format!("make the volume {name}"))?))
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

fn read(volume: bollard::models::Volume) -> Volume {
    Volume {
        plain: volume.driver == "local" && volume.options.is_empty(),
        name: volume.name,
        path: volume.mountpoint.into(),
        labels: volume.labels,
    }
}
