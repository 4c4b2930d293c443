//! Containers that are as they should be, found or made.

use std::collections::{BTreeMap, HashMap};

use atelier_api::Problem;
use atelier_compose::direct::{DirectService, HASH, NUMBER};
use atelier_engine::{Container, NewContainer, State};
use futures_util::future::try_join_all;
use tokio::sync::watch;
use uuid::Uuid;

use super::Work;

/// One container of a service.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) id: String,
    /// What it is to be called.
    pub(super) name: String,
    /// Whether it is called something else until another one is gone.
    pub(super) renamed: bool,
    /// What it is doing; nothing yet when it is new.
    pub(super) state: State,
    /// Whether it was made now.
    pub(super) new: bool,
    /// The container whose volumes it has taken over.
    pub(super) heir_of: Option<String>,
}

/// First containers of services, for those that are inside of them.
type Firsts<'a> = HashMap<&'a str, watch::Sender<Option<String>>>;

impl Work<'_> {
    /// Finds or makes the containers of each service.
    pub(super) async fn make(
        &self,
        images: &HashMap<String, String>,
    ) -> Result<BTreeMap<&str, Vec<Slot>>, Problem> {
        let firsts: Firsts<'_> =
            self.chosen.iter().map(|s| (s.name.as_str(), watch::Sender::new(None))).collect();
        let firsts = &firsts;
        let all = self.chosen.iter().map(async |service| {
            let ids = inside(service, firsts).await;
            let slots = self.slots(service, &ids, images).await?;
            if let (Some(first), Some(slot)) = (firsts.get(service.name.as_str()), slots.first()) {
                first.send_replace(Some(slot.id.clone()));
            }
            Ok::<_, Problem>((service.name.as_str(), slots))
        });
        Ok(try_join_all(all).await?.into_iter().collect())
    }

    async fn slots(
        &self,
        service: &DirectService,
        ids: &BTreeMap<String, String>,
        images: &HashMap<String, String>,
    ) -> Result<Vec<Slot>, Problem> {
        let image = images.get(&service.image).map_or("", String::as_str);
        let all = (1..=service.replicas).map(|number| self.slot(service, number, ids, image));
        try_join_all(all).await
    }

    async fn slot(
        &self,
        service: &DirectService,
        number: u32,
        ids: &BTreeMap<String, String>,
        image: &str,
    ) -> Result<Slot, Problem> {
        let (mut body, hash) = service.container(number, ids);
        let name = service.container_name(self.bring.project, number);
        let old: Vec<&Container> = self.there.iter().filter(|c| is(c, service, number)).collect();
        let asked = self.bring.only.is_empty() || self.bring.only.contains(&service.name);
        let anew = self.bring.recreate && asked;
        let fits = |c: &&&Container| !anew && self.fits(c, service, &hash, image);
        let kept = old.iter().filter(fits).max_by_key(|c| c.state == State::Running);
        if let Some(kept) = kept {
            let (id, renamed) = (kept.id.clone(), kept.name != name);
            return Ok(Slot { id, name, renamed, state: kept.state, new: false, heir_of: None });
        }
        if let Some(old) = old.first() {
            let mounts = self.engine.inherited(&old.id, &body).await?;
            body.host_config.get_or_insert_default().mounts.get_or_insert_default().extend(mounts);
        }
        let renamed = !old.is_empty();
        let made =
            if renamed { format!("{}_{name}", Uuid::new_v4().simple()) } else { name.clone() };
        let (platform, networks) = (service.platform.clone(), service.networks.clone());
        let files = service.files.clone();
        let new = NewContainer { name: made, platform, body, networks, files };
        let _turn = self.engine.turn().await;
        let id = self.engine.create(new).await?;
        let heir_of = old.first().map(|c| c.id.clone());
        Ok(Slot { id, name, renamed, state: State::Created, new: true, heir_of })
    }

    /// Whether a container is what would be made: of the same definition and image, and on networks that
    /// are still there.
    fn fits(
        &self,
        container: &Container,
        service: &DirectService,
        hash: &str,
        image: &str,
    ) -> bool {
        let plain = |id: &str| id.trim_start_matches("sha256:").to_owned();
        let stale = |(name, id): (&String, &String)| {
            // Podman's lists have the name there.
            let told = !id.is_empty() && id != name;
            told && self.networks.get(name).is_some_and(|now| now != id)
        };
        let on = |(name, _): &(String, _)| container.networks.contains_key(name);
        container.labels.get(HASH).is_some_and(|own| own == hash)
            && plain(&container.image_id) == plain(image)
            && container.state != State::Dead
            && service.networks.iter().all(on)
            && !container.networks.iter().any(stale)
    }
}

fn is(container: &Container, service: &DirectService, number: u32) -> bool {
    let own = container.labels.get(NUMBER).and_then(|n| n.parse().ok()).unwrap_or(1);
    container.service == service.name && own == number
}

/// The containers that a service is inside of, as soon as they are made.
async fn inside(service: &DirectService, firsts: &Firsts<'_>) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    for name in &service.inside {
        let Some(first) = firsts.get(name.as_str()) else { continue };
        let mut first = first.subscribe();
        if let Ok(id) = first.wait_for(Option::is_some).await
            && let Some(id) = id.clone()
        {
            ids.insert(name.clone(), id);
        }
    }
    ids
}
