//! Images of services: there, pulled or built.

use std::collections::{BTreeMap, HashMap};

use atelier_api::{ExitCode, Problem};
use atelier_compose::direct::{DirectService, Pull};
use futures_util::future::try_join_all;

use super::Work;

impl Work<'_> {
    /// The ids of the images that are needed, by their names.
    pub(super) async fn images(&self) -> Result<HashMap<String, String>, Problem> {
        // One image for several services is brought once.
        let wanted: BTreeMap<&str, &DirectService> = self
            .chosen
            .iter()
            .filter(|service| service.replicas > 0)
            .map(|service| (service.image.as_str(), *service))
            .collect();
        let all = wanted.into_values().map(async |service| {
            Ok::<_, Problem>((service.image.clone(), self.image(service).await?))
        });
        Ok(try_join_all(all).await?.into_iter().collect())
    }

    async fn image(&self, service: &DirectService) -> Result<String, Problem> {
        let (name, platform) = (&service.image, service.platform.as_deref());
        let there = self.engine.image(name).await?;
        match (&service.build, there, service.pull) {
            (Some(_), Some(id), Pull::Missing | Pull::Never) if !self.bring.build => return Ok(id),
            (Some(build), _, _) => self.engine.build(&service.name, name, platform, build).await?,
            (None, Some(id), Pull::Missing | Pull::Never) => return Ok(id),
            (None, None, Pull::Never) => return Err(missing(service)),
            (None, _, _) => self.engine.pull(name, platform).await?,
        }
        self.engine.image(name).await?.ok_or_else(|| missing(service))
    }
}

fn missing(service: &DirectService) -> Problem {
    let detail =
        format!("the image {} of the service {} is not there", service.image, service.name);
    Problem::new("engine.no_image", ExitCode::NotFound, detail)
        .hint("bring it with the engine's own tool, or take `pull_policy: never` away")
}
