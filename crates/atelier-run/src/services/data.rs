//! What an environment's volumes start with.

use std::sync::Arc;

use atelier_api::{ExitCode, Problem};
use atelier_compose::Generated;

use super::up::Rise;
use crate::workshop::Workshop;

impl Workshop {
    /// Fills volumes that are new from where it was asked.
    pub(super) async fn fill_volumes(
        self: &Arc<Self>,
        rise: &Rise<'_>,
        _plan: &Generated,
    ) -> Result<(), Problem> {
        match &rise.options.data_from {
            None => Ok(()),
            Some(from) => Err(Problem::new(
                "env.data_from",
                ExitCode::NotFound,
                format!("there is no environment or seed {from}"),
            )),
        }
    }
}
