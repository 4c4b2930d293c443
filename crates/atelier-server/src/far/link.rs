//! Keeping up with one host: it says what is up there whenever that changes. A connection that is lost is
//! made again; what was known stays, and its doors answer again when the host does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use atelier_api::far::{FarNews, FarService};
use atelier_api::{Fault, Name, Problem};
use atelier_far::{Far, FarError, Hosts, Manner};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::watch;

use super::FarHosts;
use super::doors::{Door, Doors};

/// The pause before a lost connection is made again; it doubles up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What is known of a host.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// It has not said anything yet.
    Unknown,
    /// What is up there.
    Known(Vec<FarService>),
    /// It cannot be reached, and never was since it was linked.
    Lost(Box<Problem>),
}

/// One host.
pub(super) struct Link {
    hosts: Arc<FarHosts>,
    host: Name,
    news: watch::Sender<State>,
    doors: Doors,
}

impl Link {
    pub(super) fn new(hosts: Arc<FarHosts>, host: Name, news: watch::Sender<State>) -> Self {
        Self { hosts, host, news, doors: Doors::default() }
    }

    /// Keeps up until the control plane stops, the host is forgotten, or it could not be reached at
    /// first: then whoever asks again begins again.
    pub(super) async fn keep(mut self) {
        let stop = self.hosts.stop.clone();
        tokio::select! {
            () = self.follow() => {}
            () = stop.cancelled() => {}
        }
        self.hosts.publish(&self.host, &[]);
    }

    async fn follow(&mut self) {
        let mut pause = PAUSE;
        loop {
            match self.open().await {
                Ok(far) => {
                    self.listen(Arc::new(far)).await;
                    pause = PAUSE;
                }
                Err(error) => {
                    let known = matches!(*self.news.borrow(), State::Known(_));
                    let gone = matches!(error, FarError::Unknown { .. });
                    tracing::debug!(%error, host = %self.host, "out of reach");
                    if gone || !known {
                        let _ = self.news.send(State::Lost(Box::new(error.problem())));
                        return;
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Nobody is there whom ssh could ask.
    async fn open(&self) -> Result<Far, FarError> {
        let (hosts, name) = (self.hosts.clone(), self.host.to_string());
        let open = move || {
            let host = Hosts::named(&hosts.home, &name)?;
            Far::open(host, &hosts.home, &hosts.build, &hosts.program, Manner::Silent)
        };
        match tokio::task::spawn_blocking(open).await {
            Ok(opened) => opened,
            Err(_) => Err(FarError::Unknown { name: self.host.to_string(), known: Vec::new() }),
        }
    }

    async fn listen(&mut self, far: Arc<Far>) {
        let stream = far.ssh.stream(&far.command(&["dial", "news"]));
        let stream = stream.and_then(|stream| {
            stream.set_nonblocking(true)?;
            tokio::net::UnixStream::from_std(stream)
        });
        let Ok(stream) = stream else { return };
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            match serde_json::from_str::<FarNews>(&line) {
                Ok(news) => self.take(&far, news).await,
                Err(error) => tracing::warn!(%error, host = %self.host, "no news"),
            }
        }
    }

    async fn take(&mut self, far: &Arc<Far>, news: FarNews) {
        let mut wanted = HashMap::new();
        for environment in news.environments {
            let services = environment.services;
            for view in services.services.iter().filter(|view| !view.addresses.is_empty()) {
                let door = Door::new(far.clone(), &self.host, &environment.root, &services, view);
                wanted.insert(door.key(), (door, view.clone()));
            }
        }
        let mut open = self.doors.set(wanted).await;
        for (door, service) in &mut open {
            if let Some(port) = self.hosts.ingress.filter(|_| door.speaks_http()) {
                let name = format!("{}.{}.{}", service.service, service.env, door.project());
                service.urls.push(format!("http://{name}.localhost:{port}"));
            }
        }
        self.hosts.publish(&self.host, &open);
        let services = open.into_iter().map(|(_, service)| service).collect();
        let _ = self.news.send(State::Known(services));
    }
}
