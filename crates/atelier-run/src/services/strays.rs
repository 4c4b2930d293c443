//! Volumes that no environment stands behind: what `system.gc` removes besides what the reconciler does. The
//! reconciler leaves data alone.

use std::collections::HashSet;
use std::sync::Arc;

use atelier_api::Problem;

use super::{ENVIRONMENT, HOME};
use crate::store;
use crate::workshop::Workshop;

impl Workshop {
    /// Removes them, or only says which; a sentence each. An engine that does not answer has none.
    pub(crate) async fn stray_volumes(self: &Arc<Self>, dry_run: bool) -> Vec<String> {
        match self.find_stray_volumes(dry_run).await {
            Ok(said) => said,
            Err(problem) => {
                tracing::info!(%problem, "volumes are not looked at");
                Vec::new()
            }
        }
    }

    async fn find_stray_volumes(self: &Arc<Self>, dry_run: bool) -> Result<Vec<String>, Problem> {
        let engine = self.driver.engine().await?;
        let rows = store::environment_list(&self.store, None).await?;
        let mut known: HashSet<String> = rows.iter().map(|row| row.id.to_string()).collect();
        known.extend(self.busy().iter().map(ToString::to_string));
        let own = [format!("{HOME}={}", self.home_label()), ENVIRONMENT.to_owned()];
        let mut said = Vec::new();
        for volume in engine.volumes(&own).await? {
            if volume.labels.get(ENVIRONMENT).is_none_or(|id| known.contains(id)) {
                continue;
            }
            if dry_run {
                said.push(format!("the volume {} of an environment that is gone", volume.name));
                continue;
            }
            engine.remove_volume(&volume.name).await?;
            said.push(format!("removed the volume {} of an environment that is gone", volume.name));
        }
        Ok(said)
    }
}
