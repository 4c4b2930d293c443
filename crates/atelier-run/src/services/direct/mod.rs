//! A project's containers made through the engine's API: what is there and as it should be stays, what is
//! not is made anew. Everything carries Compose's labels, so that it does not matter who made it.
//!
//! Three steps: all containers are made, then those whose place they take are removed, then all are
//! started in their order. A kill between leaves containers that the next time are found by their labels.

mod begin;
mod images;
mod make;

use std::collections::{BTreeMap, HashMap, HashSet};

use atelier_api::{ExitCode, Problem};
use atelier_compose::direct::{Direct, DirectService, PROJECT};
use atelier_engine::{Container, Engine};
use futures_util::future::try_join_all;

use self::make::Slot;
use super::bring::Bring;

/// Compose's label on containers of `docker compose run`.
const ONE_OFF: &str = "com.docker.compose.oneoff";

/// Bringing one project up.
pub(super) struct Work<'a> {
    engine: &'a Engine,
    bring: &'a Bring<'a>,
    plan: &'a Direct,
    /// Those that are brought up.
    chosen: Vec<&'a DirectService>,
    /// What there is of the project.
    there: Vec<Container>,
    /// The ids of the engine's networks.
    networks: HashMap<String, String>,
}

impl<'a> Work<'a> {
    pub(super) async fn new(bring: &'a Bring<'a>, plan: &'a Direct) -> Result<Self, Problem> {
        let engine = bring.engine;
        let chosen = chosen(plan, bring.only)?;
        let label = [format!("{PROJECT}={}", bring.project)];
        let (there, networks) = tokio::try_join!(engine.containers(&label), engine.networks())?;
        let there = there.into_iter();
        let there = there.filter(|c| c.labels.get(ONE_OFF).is_none_or(|v| v != "True")).collect();
        let networks = networks.into_iter().map(|n| (n.name, n.id)).collect();
        Ok(Self { engine, bring, plan, chosen, there, networks })
    }

    pub(super) async fn run(&self) -> Result<(), Problem> {
        let (images, ()) = tokio::try_join!(self.images(), self.volumes())?;
        self.known_networks()?;
        let slots = self.make(&images).await?;
        self.clear(&slots).await?;
        self.begin(&slots).await
    }

    /// Sees to it that the volumes are there.
    async fn volumes(&self) -> Result<(), Problem> {
        let used = |users: &[String]| self.chosen.iter().any(|s| users.contains(&s.name));
        let wanted = self.plan.volumes.iter().filter(|volume| used(&volume.users));
        try_join_all(wanted.map(async |volume| {
            if volume.external {
                return match self.engine.volume(&volume.name).await? {
                    Some(_) => Ok(()),
                    None => Err(not_there("volume", &volume.name)),
                };
            }
            let new = atelier_engine::NewVolume {
                name: volume.name.clone(),
                labels: volume.labels.clone(),
                driver: volume.driver.clone(),
                options: volume.options.clone(),
            };
            self.engine.make_volume(new).await?;
            Ok(())
        }))
        .await
        .map(drop)
    }

    fn known_networks(&self) -> Result<(), Problem> {
        let all = self.chosen.iter().flat_map(|service| &service.networks);
        match all.map(|(name, _)| name).find(|name| !self.networks.contains_key(*name)) {
            Some(name) => Err(not_there("network", name)),
            None => Ok(()),
        }
    }

    /// Removes what others take the place of, what is too many, and what is in the file no more. Before
    /// anything is started, since addresses may go from one to another.
    async fn clear(&self, slots: &BTreeMap<&str, Vec<Slot>>) -> Result<(), Problem> {
        let kept: HashSet<&str> = slots.values().flatten().map(|slot| slot.id.as_str()).collect();
        let chosen = |c: &&Container| slots.contains_key(c.service.as_str());
        let known = |c: &&Container| self.plan.services.iter().any(|s| s.name == c.service);
        let gone = self.there.iter().filter(|c| chosen(c) || !known(c));
        let gone = gone.filter(|c| !kept.contains(c.id.as_str()));
        let inherited: HashSet<&str> =
            slots.values().flatten().filter_map(|slot| slot.heir_of.as_deref()).collect();
        try_join_all(gone.map(async |container| {
            let _turn = self.engine.turn().await;
            self.engine.stop(&container.id, None).await?;
            match inherited.contains(container.id.as_str()) {
                true => self.engine.replace(&container.id).await,
                false => self.engine.remove(&container.id).await,
            }
        }))
        .await?;
        Ok(())
    }
}

/// The services that were asked for, with what they need.
fn chosen<'a>(plan: &'a Direct, only: &[String]) -> Result<Vec<&'a DirectService>, Problem> {
    let find = |name: &str| plan.services.iter().find(|service| service.name == name);
    if let Some(unknown) = only.iter().find(|name| find(name).is_none()) {
        let there: Vec<&str> = plan.services.iter().map(|s| s.name.as_str()).collect();
        let detail = format!("there is no service {unknown}");
        return Err(Problem::new("env.no_service", ExitCode::NotFound, detail)
            .hint(format!("there are: {}", there.join(", "))));
    }
    let mut names: Vec<&str> = match only {
        [] => plan.services.iter().map(|service| service.name.as_str()).collect(),
        only => only.iter().map(String::as_str).collect(),
    };
    let mut at = 0;
    while let Some(service) = names.get(at).and_then(|name| find(name)) {
        for wait in &service.waits {
            if !names.contains(&wait.service.as_str()) {
                names.push(&wait.service);
            }
        }
        at += 1;
    }
    Ok(names.into_iter().filter_map(find).collect())
}

fn not_there(what: &str, name: &str) -> Problem {
    let detail = format!("the {what} {name} is external in the Compose file, and is not there");
    Problem::new("env.external", ExitCode::NotFound, detail)
        .hint(format!("make it: docker {what} create {name}"))
}
