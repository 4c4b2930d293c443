//! What a kill in the middle of a copy leaves: frozen containers, half volumes, containers that only hold
//! a volume, half-written seeds.

use std::collections::HashSet;

use atelier_engine::{Engine, EngineError};
use uuid::Uuid;

use super::super::store::ServicesRow;
use super::super::{ENVIRONMENT, HOME};
use super::{HELPER, half, held};
use crate::workshop::Workshop;

impl Workshop {
    /// Puts it right where nobody is at it. Gives what was done, a sentence each.
    pub(in super::super) async fn mend_data(
        &self,
        engine: &Engine,
        rows: &[ServicesRow],
        busy: &HashSet<Uuid>,
    ) -> Vec<String> {
        let mut mended = Vec::new();
        for row in rows.iter().filter(|row| !busy.contains(&row.environment)) {
            let turn = self.driver.turn(row.environment);
            let Ok(_turn) = turn.try_lock() else { continue };
            match self.mend_one(engine, row.environment).await {
                Ok(done) => mended.extend(done),
                Err(error) => tracing::warn!(%error, "a copy of data that was interrupted"),
            }
        }
        let left = self.clear_seeds();
        if left > 0 {
            mended.push(format!("removed half-written seeds: {left}"));
        }
        mended
    }

    async fn mend_one(&self, engine: &Engine, id: Uuid) -> Result<Vec<String>, EngineError> {
        let folder = self.folder(id);
        let mut mended = Vec::new();
        let thawed = held::mend(engine, &folder).await?;
        if thawed > 0 {
            mended.push(format!("thawed what was frozen for a copy of the data of {id}"));
        }
        let helpers =
            [format!("{HOME}={}", self.home_label()), format!("{ENVIRONMENT}={id}"), HELPER.into()];
        for helper in engine.containers(&helpers).await? {
            engine.remove(&helper.id).await?;
        }
        if half::discard(engine, &folder, id).await? > 0 {
            mended.push(format!("removed half-filled volumes of {id}"));
        }
        Ok(mended)
    }
}
