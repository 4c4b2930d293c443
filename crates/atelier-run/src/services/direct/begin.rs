//! Containers started in their order: who depends on another waits until that one is far enough.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use atelier_api::Problem;
use atelier_compose::direct::{DirectService, PROJECT, SERVICE, Until, Wait};
use atelier_engine::{Container, Health, State};
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use tokio::sync::watch;

use super::Work;
use super::make::Slot;
use crate::services::wait::unwell;

/// How often the engine is asked though it told of nothing.
const PAUSE: Duration = Duration::from_millis(500);

/// Which services were started, and what happened.
struct Progress<'a> {
    started: HashMap<&'a str, watch::Sender<bool>>,
    /// Counts what the engine tells.
    news: watch::Sender<u64>,
}

impl Work<'_> {
    /// Starts everything.
    pub(super) async fn begin(&self, slots: &BTreeMap<&str, Vec<Slot>>) -> Result<(), Problem> {
        let names = self.chosen.iter().map(|service| service.name.as_str());
        let started = names.map(|name| (name, watch::Sender::new(false))).collect();
        let progress = Progress { started, news: watch::Sender::new(0) };
        let all = self.chosen.iter().map(async |service| {
            for wait in &service.waits {
                self.wait_for(wait, &progress).await?;
            }
            self.start(service, slots).await?;
            if let Some(started) = progress.started.get(service.name.as_str()) {
                started.send_replace(true);
            }
            Ok::<_, Problem>(())
        });
        let waits = self.chosen.iter().flat_map(|service| &service.waits);
        let listens = waits.into_iter().any(|wait| wait.until != Until::Started);
        tokio::select! {
            done = try_join_all(all) => done.map(drop),
            () = self.listen(&progress), if listens => Ok(()),
        }
    }

    /// Never ends.
    async fn listen(&self, progress: &Progress<'_>) {
        let mut events =
            std::pin::pin!(self.engine.events(&format!("{PROJECT}={}", self.bring.project)));
        while let Some(Ok(event)) = events.next().await {
            if !event.action.starts_with("exec_") {
                progress.news.send_modify(|count| *count += 1);
            }
        }
        // Whoever waits asks by himself from now on.
        std::future::pending::<()>().await;
    }

    async fn start(
        &self,
        service: &DirectService,
        slots: &BTreeMap<&str, Vec<Slot>>,
    ) -> Result<(), Problem> {
        let of = |name: &str| slots.get(name).into_iter().flatten();
        let depends = service.waits.iter().filter(|wait| wait.restart);
        let moved = depends.into_iter().any(|wait| of(&wait.service).any(|slot| slot.new));
        try_join_all(of(&service.name).map(async |slot| {
            let _turn = self.engine.turn().await;
            if slot.renamed {
                self.engine.rename(&slot.id, &slot.name).await?;
            }
            match slot.state {
                State::Running | State::Restarting if moved && !slot.new => {
                    self.engine.restart(&slot.name).await
                }
                State::Running | State::Restarting | State::Paused => Ok(()),
                State::Created | State::Exited | State::Dead => self.engine.start(&slot.name).await,
            }
        }))
        .await?;
        Ok(())
    }

    async fn wait_for(&self, wait: &Wait, progress: &Progress<'_>) -> Result<(), Problem> {
        let Some(started) = progress.started.get(wait.service.as_str()) else { return Ok(()) };
        // The sender lives as long as we do.
        let _ = started.subscribe().wait_for(|started| *started).await;
        if wait.until == Until::Started {
            return Ok(());
        }
        let labels =
            [format!("{PROJECT}={}", self.bring.project), format!("{SERVICE}={}", wait.service)];
        let mut news = progress.news.subscribe();
        loop {
            news.mark_unchanged();
            let containers = self.engine.examine(&labels).await?;
            let far = containers.iter().map(|c| (far(c, wait.until), c));
            let behind: Vec<_> = far.filter(|(far, _)| *far != Far::Enough).collect();
            let hopeless = behind.iter().find_map(|(far, container)| match far {
                Far::Never(why) => Some((why.clone(), *container)),
                _ => None,
            });
            match hopeless {
                Some((why, container)) => return self.without(wait, container, &why).await,
                None if behind.is_empty() => return Ok(()),
                None => {}
            }
            // Either way they are looked at again.
            let _ = tokio::time::timeout(PAUSE, news.changed()).await;
        }
    }

    /// Goes on, if that is possible.
    async fn without(&self, wait: &Wait, container: &Container, why: &str) -> Result<(), Problem> {
        if wait.required {
            return Err(unwell(self.engine, container, why).await);
        }
        tracing::info!(service = wait.service, why, "others go on without it");
        Ok(())
    }
}

/// How far a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Far {
    Enough,
    NotYet,
    Never(String),
}

fn far(container: &Container, until: Until) -> Far {
    let ended = container.exit_code.unwrap_or_default();
    match (until, container.state, container.health) {
        (Until::Started, ..) => Far::Enough,
        (Until::Completed, State::Exited, _) if ended == 0 => Far::Enough,
        (_, State::Exited, _) => {
            Far::Never(format!("ended with code {ended}, and others wait for it"))
        }
        (_, State::Dead, _) => Far::Never("is gone, and others wait for it".to_owned()),
        (Until::Completed, ..) => Far::NotYet,
        (Until::Healthy, _, Some(Health::Healthy)) => Far::Enough,
        (Until::Healthy, _, Some(Health::Unhealthy)) => {
            Far::Never("is not healthy, and others wait for it".to_owned())
        }
        (Until::Healthy, State::Running, None) => {
            Far::Never("has no health check, and others wait until it is healthy".to_owned())
        }
        (Until::Healthy, ..) => Far::NotYet,
    }
}
