//! Where services are reached from this machine: at their containers' addresses, or, where the engine keeps
//! those to itself, at ports of 127.0.0.1 that it chose. Which of both, and what the engine says.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use atelier_api::Problem;
use atelier_config::Reach;
use atelier_engine::{Container, Engine, State};

use super::Driver;
use super::record::ServicesRecord;

/// The ports of a service with those of 127.0.0.1 that they are published at.
pub(super) type Doors = BTreeMap<u16, u16>;

/// What the engine says of services' containers.
#[derive(Debug, Default)]
pub(super) struct Reached {
    addresses: HashMap<String, Vec<IpAddr>>,
    doors: HashMap<String, Doors>,
    loopback: bool,
}

impl Driver {
    /// Whether services are reached on 127.0.0.1 only.
    pub(super) fn loopback(&self, engine: &Engine) -> bool {
        match self.settings.reach {
            Reach::Auto => !engine.reachable(),
            Reach::Addresses => false,
            Reach::Loopback => true,
        }
    }

    /// The engine in words.
    pub(super) fn describe(&self, engine: &Engine) -> String {
        let what = format!("{:?} {} at {}", engine.kind(), engine.version(), engine.address());
        match self.loopback(engine) {
            true => format!(
                "{what}; services are reached at ports of 127.0.0.1, their addresses only inside"
            ),
            false => what,
        }
    }

    /// Where the containers of an environment are reached, and the shared ones that it uses.
    pub(super) async fn reached(
        &self,
        engine: &Engine,
        services: &ServicesRecord,
        own: &[Container],
    ) -> Result<Reached, Problem> {
        let loopback = self.loopback(engine);
        let mut reached = Reached { loopback, ..Reached::default() };
        own.iter().for_each(|container| reached.add(container));
        // The address of a shared service is known already, the ports change with every start.
        for used in services.shared.values().filter(|_| loopback) {
            let label = format!("com.docker.compose.project={}", used.scope);
            engine.examine(&[label]).await?.iter().for_each(|shared| reached.add(shared));
        }
        Ok(reached)
    }
}

impl Reached {
    fn add(&mut self, container: &Container) {
        let own = self.addresses.entry(container.service.clone()).or_default();
        own.extend(container.addresses.iter().map(|(_, ip)| *ip));
        // An engine tells of a container's end before it gives its ports free.
        if !matches!(container.state, State::Running | State::Paused) {
            return;
        }
        let doors = self.doors.entry(container.service.clone()).or_default();
        for (port, door) in &container.published {
            doors.entry(*port).or_insert(*door);
        }
    }

    /// The addresses of a service.
    pub(super) fn addresses(&self, service: &str) -> Vec<IpAddr> {
        self.addresses.get(service).cloned().unwrap_or_default()
    }

    /// Its ports on 127.0.0.1, where it is reached nowhere else.
    pub(super) fn doors(&self, service: &str) -> Option<Doors> {
        self.loopback.then(|| self.doors.get(service).cloned().unwrap_or_default())
    }
}
