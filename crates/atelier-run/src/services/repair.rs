//! Services and the engine brought together: what a kill interrupted is taken back, what nobody knows is
//! removed, and before a command runs what should be up is made to be.

use std::collections::HashSet;
use std::sync::Arc;

use atelier_api::Problem;
use atelier_api::service::UpOptions;
use atelier_engine::{Container, Engine, State};
use uuid::Uuid;

use super::record::Phase;
use super::{ENVIRONMENT, HOME, down, store};
use crate::record::Record;
use crate::workshop::Workshop;

impl Workshop {
    /// Sees to it that an environment's services run before a command does.
    pub(crate) async fn services_for(
        self: &Arc<Self>,
        record: &Record,
        options: Option<&UpOptions>,
    ) -> Result<(), Problem> {
        let (Some(options), true) = (options, record.shown) else { return Ok(()) };
        let row = store::find(&self.store, record.id).await?;
        if let Some(row) = row
            && row.phase == Phase::Up
            && let Some(services) = &row.record
            && *options == UpOptions::default()
        {
            let engine = self.driver.engine().await?;
            if runs(&engine, record.id, &services.services).await? {
                return Ok(());
            }
            // As it was asked for the last time.
            return self.up_record(record, &[], &services.options.clone()).await;
        }
        self.up_record(record, &[], options).await
    }

    /// Takes back what was never whole and what belongs to nobody. An engine that does not answer keeps
    /// what it has until it does.
    pub(crate) async fn reconcile_services(
        self: &Arc<Self>,
        busy: &HashSet<Uuid>,
        wanted: &HashSet<Uuid>,
    ) -> Vec<String> {
        let mut mended = Vec::new();
        let Ok(rows) = store::list(&self.store).await else { return mended };
        if rows.is_empty() {
            return mended;
        }
        let engine = match self.driver.engine().await {
            Ok(engine) => engine,
            Err(problem) => {
                tracing::warn!(%problem, "services are left as they are");
                return mended;
            }
        };
        mended.extend(self.mend_data(&engine, &rows, busy).await);
        for row in &rows {
            let at_work = busy.contains(&row.environment)
                || self.driver.turn(row.environment).try_lock().is_err();
            if row.phase == Phase::Starting && !at_work && wanted.contains(&row.environment) {
                match self.lower(&engine, row.environment, false).await {
                    Ok(()) => mended.push(format!("took back services of {}", row.environment)),
                    Err(problem) => tracing::warn!(%problem, "half-started services"),
                }
            }
        }
        for row in rows.iter().filter(|row| !wanted.contains(&row.environment)) {
            match self.end_unused(&engine, row.environment).await {
                Ok(true) => mended.push("stopped a shared service that nobody uses".into()),
                Ok(false) => {}
                Err(problem) => tracing::warn!(%problem, "a shared service that nobody uses"),
            }
        }
        // An environment whose services are not in the database any more keeps them: a lost database must
        // lose no data.
        let mut known: HashSet<Uuid> = rows.iter().map(|row| row.environment).collect();
        known.extend(wanted);
        match self.clear_strays(&engine, &known).await {
            Ok(strays) => mended.extend(strays),
            Err(problem) => tracing::warn!(%problem, "stray containers"),
        }
        mended
    }

    /// Removes what carries our label and belongs to no environment.
    async fn clear_strays(
        &self,
        engine: &Engine,
        known: &HashSet<Uuid>,
    ) -> Result<Vec<String>, Problem> {
        let own = format!("{HOME}={}", self.home_label());
        let containers = engine.containers(std::slice::from_ref(&own)).await?;
        let networks = engine.networks().await?;
        let of_home = |labels: &std::collections::HashMap<String, String>| {
            labels.get(HOME).is_some_and(|home| *home == self.home_label())
        };
        let labels = containers.iter().map(|c| &c.labels);
        let labels = labels.chain(networks.iter().map(|n| &n.labels).filter(|l| of_home(l)));
        let strays: HashSet<Uuid> = labels
            .filter_map(|labels| labels.get(ENVIRONMENT)?.parse().ok())
            .filter(|id| !known.contains(id))
            .collect();
        let mut mended = Vec::new();
        for id in strays {
            down::clear(engine, &format!("{ENVIRONMENT}={id}"), None, true).await?;
            mended.push(format!("removed containers of {id}, which is no environment"));
        }
        Ok(mended)
    }
}

/// Whether every service has a container that runs, or did what it was for.
pub(super) async fn runs(
    engine: &Engine,
    id: Uuid,
    services: &[atelier_compose::ServicePlan],
) -> Result<bool, Problem> {
    let label = [format!("{ENVIRONMENT}={id}")];
    let mut containers = engine.containers(&label).await?;
    if containers.iter().any(|container| container.state == State::Exited) {
        containers = engine.examine(&label).await?;
    }
    let fine = |c: &Container| {
        c.state == State::Running || (c.state == State::Exited && c.exit_code == Some(0))
    };
    Ok(services.iter().filter(|plan| plan.replicas > 0).all(|plan| {
        let own: Vec<_> = containers.iter().filter(|c| c.service == plan.name).collect();
        !own.is_empty() && own.iter().all(|c| fine(c))
    }))
}
