//! Images: looked at, pulled; those that were built for somebody are found by label and removed with them.

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder,
};
use futures_util::StreamExt;

use crate::connect::Engine;
use crate::error::{Doing, EngineError, status, unless};

/// How long a registry may be silent.
const LONG: Duration = Duration::from_secs(24 * 3600);

impl Engine {
    /// The id of the image of a name, if it is there.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn image(&self, name: &str) -> Result<Option<String>, EngineError> {
        match self.docker.inspect_image(name).await {
            Err(error) if status(&error) == Some(404) => Ok(None),
            seen => Ok(seen.doing(|| format!("look at the image {name}"))?.id),
        }
    }

    /// Brings an image from its registry.
    ///
    /// # Errors
    /// [`EngineError::Pull`].
    pub async fn pull(&self, name: &str, platform: Option<&str>) -> Result<(), EngineError> {
        let failed = |why: String| EngineError::Pull { image: name.to_owned(), why };
        let last = name.rsplit('/').next().unwrap_or(name);
        let mut options = CreateImageOptionsBuilder::new().from_image(name);
        if !last.contains([':', '@']) {
            // Without one the engine would bring all of them.
            options = options.tag("latest");
        }
        if let Some(platform) = platform {
            options = options.platform(platform);
        }
        let docker = self.docker.clone().with_timeout(LONG);
        let mut lines = std::pin::pin!(docker.create_image(Some(options.build()), None, None));
        while let Some(line) = lines.next().await {
            let line = line.map_err(|error| failed(error.to_string()))?;
            if let Some(why) = line.error_detail.and_then(|e| e.message) {
                return Err(failed(why));
            }
        }
        Ok(())
    }

    /// Removes the images that have all of these labels. One that a container still uses stays.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn remove_images(&self, labels: &[String]) -> Result<(), EngineError> {
        let filters = HashMap::from([("label", labels.to_vec())]);
        let options = ListImagesOptionsBuilder::new().filters(&filters).build();
        let listed = self.docker.list_images(Some(options)).await;
        for image in listed.doing(|| "list images".into())? {
            let options = RemoveImageOptionsBuilder::new().force(true).build();
            let removed = self.docker.remove_image(&image.id, Some(options), None).await.map(drop);
            unless(removed, &[404, 409]).doing(|| format!("remove the image {}", image.id))?;
        }
        Ok(())
    }
}
