//! Images: those that were built for somebody, found by label and removed with them.

use std::collections::HashMap;

use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder};

use crate::connect::Engine;
use crate::error::{Doing, EngineError, unless};

impl Engine {
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
