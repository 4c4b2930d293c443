//! The control plane that the user means: the one of a home, which is started when it is not
//! there and replaced when its version is another one, or one that somebody else runs.

use std::time::Duration;

use atelier_api::sandbox::{SandboxRef, SandboxShow};
use atelier_api::session::ToServer;
use atelier_api::system::{Nothing, SystemStop};
use atelier_api::{Effect, ExitCode, Operation, Problem};
use atelier_guest::client::Guest;
use tokio::time::{Instant, sleep};

use crate::endpoint::Peer;
use crate::{Client, ClientError, Endpoint, Events, Session, Starter, inside, request};

/// How long a control plane of another version may take to go.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long another machine may be out of reach.
const ABSENCE: Duration = Duration::from_secs(15 * 60);

/// How long a control plane that went has for being replaced by whoever ended it.
const SUCCESSION: Duration = Duration::from_secs(1);

/// A control plane, and how it comes to be.
#[derive(Debug)]
pub struct ControlPlane<'a> {
    client: Client,
    starter: Option<Starter<'a>>,
    far: bool,
}

impl<'a> ControlPlane<'a> {
    /// The control plane of a home: `starter` starts it when it is not there.
    #[must_use]
    pub const fn local(client: Client, starter: Starter<'a>) -> Self {
        Self { client, starter: Some(starter), far: false }
    }

    /// A control plane that somebody else starts and stops.
    #[must_use]
    pub const fn remote(client: Client) -> Self {
        Self { client, starter: None, far: false }
    }

    /// A control plane on another machine, behind a socket of this one. Its commands outlive the
    /// connection, which may be gone for a while.
    #[must_use]
    pub fn far(client: Client) -> Self {
        Self { client: client.lingering(), starter: None, far: true }
    }

    /// How long a command is looked for whose connection was lost.
    #[must_use]
    pub const fn patience(&self) -> Duration {
        if self.far { ABSENCE } else { PATIENCE }
    }

    /// Whether somebody listens. Nothing is started.
    ///
    /// # Errors
    /// [`ClientError::Connect`] when it cannot be told, for want of permission for instance.
    pub async fn is_running(&self) -> Result<bool, ClientError> {
        match self.client.connect().await {
            Ok(()) => Ok(true),
            Err(error) if error.is_absent() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Starts it when it is not there.
    ///
    /// # Errors
    /// [`ClientError::Start`] and those of a connection.
    pub async fn ensure(&self) -> Result<(), ClientError> {
        match (self.client.connect().await, &self.starter) {
            (Err(error), Some(starter)) if error.is_absent() => starter.start(&self.client).await,
            (other, _) => other,
        }
    }

    /// Calls an operation.
    ///
    /// # Errors
    /// As [`Client::call`], and [`ClientError::Start`].
    pub async fn call<O: Operation>(&self, input: &O::Input) -> Result<O::Output, ClientError> {
        let again = O::EFFECT == Effect::Read;
        let asked = request::request::<O>(input)?;
        let answer = self.through(again, async |client: &Client| client.exchange(&asked).await);
        request::output::<O>(&answer.await?)
    }

    /// Begins a session.
    ///
    /// # Errors
    /// As [`Client::session`], and [`ClientError::Start`].
    pub async fn session(&self, first: &ToServer) -> Result<Session, ClientError> {
        match first {
            ToServer::Attach(_) => self.back(first).await,
            _ => self.through(false, async |client: &Client| client.session(first).await).await,
        }
    }

    /// Goes back to a command through whichever control plane there is: a newer one may have
    /// replaced ours, and a command that goes on must not bring the older one back.
    async fn back(&self, first: &ToServer) -> Result<Session, ClientError> {
        let client = self.client.of_any_version();
        let begin = Instant::now();
        loop {
            let error = match client.session(first).await {
                Ok(session) => return Ok(session),
                Err(error) => error,
            };
            let over = begin.elapsed();
            match (&self.starter, error) {
                (Some(starter), error) if error.is_absent() && over > SUCCESSION => {
                    starter.start(&self.client).await?;
                }
                (Some(_), error) if error.is_connection() && over < PATIENCE => {
                    sleep(Duration::from_millis(10)).await;
                }
                (_, error) => return Err(error),
            }
        }
    }

    /// Follows the events.
    ///
    /// # Errors
    /// As [`Client::events`], and [`ClientError::Start`].
    pub async fn events(&self) -> Result<Events, ClientError> {
        self.through(true, async |client: &Client| client.events().await).await
    }

    /// The guest of a sandbox, by way of the control plane: its processes, files and ports. What
    /// it gives has answered already.
    ///
    /// # Errors
    /// When there is no such sandbox, when it does not run, and as [`ControlPlane::call`].
    pub async fn guest(&self, sandbox: &str) -> Result<Guest, ClientError> {
        self.through(true, async |client: &Client| {
            let guest = client.guest(sandbox);
            guest.health().await.map_err(|error| client.of_guest(error))?;
            Ok(guest)
        })
        .await
    }

    /// The same guest for bytes in large numbers: without the control plane in between where it has
    /// a socket on this machine.
    ///
    /// # Errors
    /// As [`ControlPlane::guest`].
    pub async fn guest_near(&self, sandbox: &str) -> Result<Guest, ClientError> {
        let through = self.guest(sandbox).await?;
        let Endpoint::Unix(socket) = self.client.endpoint() else { return Ok(through) };
        let asked = SandboxRef { sandbox: sandbox.to_owned() };
        // Whatever keeps us from the shortest way: there is the other one.
        let found = self.call::<SandboxShow>(&asked).await.ok();
        let near = found.and_then(|found| inside::near(socket, &found));
        Ok(match near {
            Some(near) if near.health().await.is_ok() => near,
            _ => through,
        })
    }

    /// The same guest for a command that runs in it already: through whichever control plane
    /// there is, of any version, and without waiting for it to answer.
    #[must_use]
    pub fn guest_again(&self, sandbox: &str) -> Guest {
        self.client.of_any_version().guest(sandbox)
    }

    /// Stops the control plane, of whatever version, and waits until its process has ended
    /// (over TCP: until it has agreed).
    /// `false` when it did not run.
    ///
    /// # Errors
    /// As [`Client::call`]; a problem when it is there still after 15 seconds.
    pub async fn stop(&self) -> Result<bool, ClientError> {
        if !self.is_running().await? {
            return Ok(false);
        }
        // At the other end of a far one's socket is a process of ours.
        let gone = if self.far { Peer::default() } else { Peer::of(self.client.endpoint()).await };
        match self.client.call::<SystemStop>(&Nothing {}).await {
            Ok(_) | Err(ClientError::Lost(_) | ClientError::NotSent) => {}
            Err(error) => return Err(error),
        }
        let deadline = Instant::now() + PATIENCE;
        while !gone.is_gone() {
            if Instant::now() > deadline {
                return Err(still_there());
            }
            sleep(Duration::from_millis(2)).await;
        }
        Ok(true)
    }

    /// Asks a control plane of another version to stop, and waits for it to end, so that the next
    /// one finds the home free. Whatever fails here shows in the next attempt.
    async fn send_away(&self, deadline: Instant) {
        let gone = Peer::of(self.client.endpoint()).await;
        // Over the connection that is kept, so that it cannot meet a newer one by mistake.
        if self.client.call::<SystemStop>(&Nothing {}).await.is_ok() {
            while !gone.is_gone() && Instant::now() < deadline {
                sleep(Duration::from_millis(2)).await;
            }
        }
    }

    /// Makes an attempt with a control plane that is there and of this version. `again` says that
    /// nothing is lost when an attempt is made twice.
    async fn through<T>(
        &self,
        again: bool,
        attempt: impl AsyncFn(&Client) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let deadline = Instant::now() + PATIENCE;
        let mut asked = false;
        loop {
            let error = match attempt(&self.client).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let Some(starter) = &self.starter else { return Err(error) };
            let late = Instant::now() > deadline;
            match error {
                error if error.is_absent() => starter.start(&self.client).await?,
                error if error.is_version_mismatch() && !late => {
                    if !asked {
                        asked = true;
                        self.send_away(deadline).await;
                    }
                    sleep(Duration::from_millis(5)).await;
                }
                ClientError::NotSent if !late => sleep(Duration::from_millis(5)).await,
                ClientError::Lost(_) if again && !late => sleep(Duration::from_millis(5)).await,
                error => return Err(error),
            }
        }
    }
}

fn still_there() -> ClientError {
    Problem::new(
        "control_plane.busy",
        ExitCode::Failed,
        "the control plane was asked to stop and is there still after 15 seconds",
    )
    .hint("it waits for changes that are under way; `atelier status` lists them")
    .into()
}
