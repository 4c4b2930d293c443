//! Start, stop, pause, resume, and small changes of one sandbox.

use std::sync::Arc;

use atelier_api::Problem;
use atelier_api::sandbox::{
    Sandbox, SandboxDetail, SandboxExtendInput, SandboxNetworkInput, SandboxRef,
    SandboxRenameInput, SandboxResumeInput, SandboxState,
};
use jiff::Timestamp;
use uuid::Uuid;

use super::plan::policy;
use super::record::Record;
use super::{Entrance, Entry, Fleet, broken, conflict};
use crate::runtime::Target;
use crate::{Live, SandboxError};

/// How long a machine may take to write out what it holds in memory.
const WRITE_LIMIT: std::time::Duration = std::time::Duration::from_secs(20);

impl Fleet {
    /// Starts a sandbox that was stopped. One that runs is fine.
    ///
    /// # Errors
    /// When it is paused, or can't be started.
    pub async fn start(&self, input: SandboxRef) -> Result<Sandbox, Problem> {
        let (fleet, entry) = (self.me()?, self.find(&input.sandbox)?);
        self.whole(async move {
            let _change = entry.change.lock().await;
            match entry.record().state {
                SandboxState::Running if fleet.live(entry.id).is_some() => {}
                // It may have ended a moment ago, with nobody having written that down yet.
                SandboxState::Stopped | SandboxState::Running => fleet.start_again(&entry).await?,
                other => return Err(unfit(&entry.record(), other, "started")),
            }
            Ok(fleet.view(&entry.record()))
        })
        .await
    }

    /// Ends every process in a sandbox; its files are kept.
    ///
    /// # Errors
    /// When a process can't be ended.
    pub async fn stop(&self, input: SandboxRef) -> Result<Sandbox, Problem> {
        let (fleet, entry) = (self.me()?, self.find(&input.sandbox)?);
        self.whole(async move {
            let _change = entry.change.lock().await;
            fleet.stop_entry(&entry).await?;
            Ok(fleet.view(&entry.record()))
        })
        .await
    }

    pub(super) async fn stop_entry(&self, entry: &Entry) -> Result<(), Problem> {
        if let Some(live) = self.live(entry.id) {
            self.write_out(&entry.record(), &live).await;
        }
        self.write(entry, |record| keep_time(record, SandboxState::Stopped)).await?;
        self.sandboxes.stop(entry.id).await?;
        self.announce(entry.id, "stopped");
        Ok(())
    }

    /// What a kernel of its own has not written to its disk yet goes there, before memory is lost or
    /// the disk is copied. One that is paused goes on for it. A guest that does not answer is no
    /// reason to keep a sandbox from stopping.
    pub(super) async fn write_out(&self, record: &Record, live: &Live) {
        let Ok(runtime) = self.runtime(record) else { return };
        if !runtime.capabilities().own_kernel {
            return;
        }
        let resume = async |target: Target<'_>| Ok(runtime.resume(target).await?);
        let written = async {
            if record.state == SandboxState::Paused {
                self.with_target(record, live, resume).await?;
            }
            let guest = live.guest.clone().with_token(self.secret.token("guest", record.id));
            guest.sync().await.map_err(|error| broken(&error))
        };
        let written = tokio::time::timeout(WRITE_LIMIT, written).await;
        let written = written.unwrap_or_else(|_| Err(broken(&"its guest does not answer")));
        if let Err(problem) = written {
            tracing::warn!(sandbox = %record.public_id(), why = problem.detail, "its disk may lack the newest writes");
        }
    }

    /// Pauses a sandbox; processes and memory are kept.
    ///
    /// # Errors
    /// `sandbox.not_running` when it is paused or stopped already.
    pub async fn pause(&self, input: SandboxRef) -> Result<Sandbox, Problem> {
        let (fleet, entry) = (self.me()?, self.find(&input.sandbox)?);
        self.whole(async move {
            let _change = entry.change.lock().await;
            fleet.pause_entry(&entry).await?;
            Ok(fleet.view(&entry.record()))
        })
        .await
    }

    pub(super) async fn pause_entry(&self, entry: &Entry) -> Result<(), Problem> {
        let record = entry.record();
        let live = self.running(&record, "paused")?;
        let runtime = self.runtime(&record)?;
        self.with_target(&record, &live, async |target| Ok(runtime.pause(target).await?)).await?;
        self.write(entry, |record| keep_time(record, SandboxState::Paused)).await?;
        self.announce(entry.id, "paused");
        Ok(())
    }

    /// Lets a paused sandbox go on, or starts a stopped one. One that runs is fine.
    ///
    /// # Errors
    /// When it can't be started.
    pub async fn resume(&self, input: SandboxResumeInput) -> Result<SandboxDetail, Problem> {
        let (fleet, entry) = (self.me()?, self.find(&input.sandbox)?);
        self.whole(async move {
            let _change = entry.change.lock().await;
            fleet.wake(&entry).await?;
            if let Some(seconds) = input.timeout {
                fleet.write(&entry, |record| at_least(record, seconds)).await?;
                fleet.clock.notify_one();
            }
            Ok(fleet.detail(&entry.record()))
        })
        .await
    }

    /// Makes it run, whatever it was.
    pub(super) async fn wake(&self, entry: &Entry) -> Result<(), Problem> {
        let record = entry.record();
        match record.state {
            SandboxState::Running if self.live(entry.id).is_some() => Ok(()),
            SandboxState::Paused => match self.live(entry.id) {
                Some(live) => self.unpause(entry, &record, &live).await,
                // Its processes are gone, with the machine's last boot perhaps: its files are not.
                None => self.start_again(entry).await,
            },
            SandboxState::Stopped | SandboxState::Running => self.start_again(entry).await,
            other => Err(unfit(&record, other, "resumed")),
        }
    }

    async fn unpause(&self, entry: &Entry, record: &Record, live: &Live) -> Result<(), Problem> {
        let runtime = self.runtime(record)?;
        self.with_target(record, live, async |target| Ok(runtime.resume(target).await?)).await?;
        // What happened to the clock meanwhile is told to those who have one of their own.
        self.introduce(record, &live.guest).await?;
        self.write(entry, |record| {
            record.state = SandboxState::Running;
            record.started_at = Timestamp::now();
            give_time(record);
        })
        .await?;
        self.clock.notify_one();
        self.announce(entry.id, "resumed");
        Ok(())
    }

    async fn start_again(&self, entry: &Entry) -> Result<(), Problem> {
        self.bring_up(entry).await?;
        self.write(entry, give_time).await?;
        self.announce(entry.id, "started");
        Ok(())
    }

    /// Sets how long a sandbox still lives.
    ///
    /// # Errors
    /// When there is none.
    pub async fn extend(&self, input: SandboxExtendInput) -> Result<Sandbox, Problem> {
        let entry = self.find(&input.sandbox)?;
        let _change = entry.change.lock().await;
        self.write(&entry, |record| {
            record.begin_time(input.timeout);
            record.options.timeout = input.timeout;
            if record.state != SandboxState::Running {
                keep_time(record, record.state);
            }
        })
        .await?;
        self.clock.notify_one();
        Ok(self.view(&entry.record()))
    }

    /// Gives a sandbox another name.
    ///
    /// # Errors
    /// `sandbox.exists` when another one has it.
    pub async fn rename(&self, input: SandboxRenameInput) -> Result<Sandbox, Problem> {
        let entry = self.find(&input.sandbox)?;
        let _change = entry.change.lock().await;
        let taken = |name| self.all().iter().any(|e| e.id != entry.id && e.lock().name == name);
        if input.name.is_some() && taken(input.name.clone()) {
            return Err(conflict("sandbox.exists", "another sandbox has that name".into()));
        }
        self.write(&entry, |record| record.name = input.name).await?;
        Ok(self.view(&entry.record()))
    }

    /// Replaces what a sandbox's network lets through; what is under way and no longer allowed is
    /// cut.
    ///
    /// # Errors
    /// When a rule can't be read, or the sandbox was made without a network.
    pub async fn network(&self, input: SandboxNetworkInput) -> Result<Sandbox, Problem> {
        let entry = self.find(&input.sandbox)?;
        let _change = entry.change.lock().await;
        let policy = policy(&input.network)?;
        let before = entry.record();
        let (network, headers) = self.hide(input.network, before.headers.as_deref())?;
        let after = Record { network, headers, policy, ..before.clone() };
        if let Some(live) = self.live(entry.id) {
            // Trusted first, so that no request meets a certificate that is not. What is paused is told
            // when it goes on.
            let new = !after.network.rules.is_empty() && before.network.rules.is_empty();
            if new && after.state == SandboxState::Running {
                self.introduce(&after, &live.guest).await?;
            }
            self.tell_network(&after).await?;
        }
        self.write(&entry, |record| {
            record.network = after.network;
            record.headers = after.headers;
            record.policy = after.policy;
        })
        .await?;
        Ok(self.view(&entry.record()))
    }

    /// Tells a running sandbox's network stack what it lets through.
    async fn tell_network(&self, record: &Record) -> Result<(), Problem> {
        let socket = self.sandboxes.folders(record.id).network();
        let mut policy = record.policy.clone();
        policy.intercept = self.intercept(record)?;
        let place = socket.clone();
        tokio::task::spawn_blocking(move || atelier_net::control::set_policy(&place, &policy))
            .await
            .map_err(|e| broken(&e))?
            .map_err(SandboxError::io("telling the network of", socket))?;
        Ok(())
    }

    /// What those show who may reach a sandbox's ports; none when everybody may. Wakes nothing.
    ///
    /// # Errors
    /// `sandbox.not_found`.
    pub fn traffic_token(&self, asked: &str) -> Result<Option<String>, Problem> {
        let entry = self.find(asked)?;
        let public = entry.record().options.public;
        Ok((!public).then(|| self.secret.token("traffic", entry.id)))
    }

    /// The way into a sandbox, for a person or program that may use it. One that is paused or
    /// stopped is woken when `wake` says so, or when it wakes for traffic.
    ///
    /// # Errors
    /// `sandbox.not_found`, or `sandbox.not_running` when it stays asleep.
    pub async fn enter(&self, asked: &str, wake: bool) -> Result<Entrance, Problem> {
        let entry = self.find(asked)?;
        let mut record = entry.record();
        // Somebody is starting it: it will be there in a moment.
        if record.state != SandboxState::Running {
            let (fleet, waiting) = (self.me()?, entry.clone());
            record = self
                .whole(async move {
                    let _change = waiting.change.lock().await;
                    let record = waiting.record();
                    let asleep =
                        matches!(record.state, SandboxState::Paused | SandboxState::Stopped);
                    if asleep && (wake || record.options.auto_resume) {
                        fleet.wake(&waiting).await?;
                    }
                    Ok(waiting.record())
                })
                .await?;
        }
        let live = self.running(&record, "reached")?;
        live.touch();
        let token = self.secret.token("guest", entry.id);
        Ok(Entrance {
            id: entry.id,
            guest: live.guest.with_token(token.clone()),
            access_token: token,
            request_host: record.options.request_host,
            policy: record.policy,
        })
    }

    /// The running sandbox whose token a signature was made with, when `signed` says of a token
    /// whether it was.
    #[must_use]
    pub fn signer(&self, signed: impl Fn(&str) -> bool) -> Option<Uuid> {
        let running = |e: &Arc<Entry>| e.lock().state == SandboxState::Running;
        let mut all = self.all().into_iter().filter(running);
        all.find(|e| signed(&self.secret.token("guest", e.id))).map(|e| e.id)
    }

    /// What runs, or why nothing does.
    pub(super) fn running(&self, record: &Record, what: &str) -> Result<Live, Problem> {
        match (record.state, self.live(record.id)) {
            (SandboxState::Running, Some(live)) => Ok(live),
            (SandboxState::Running, None) => Err(unfit(record, SandboxState::Stopped, what)),
            (other, _) => Err(unfit(record, other, what)),
        }
    }

    pub(super) fn runtime(&self, record: &Record) -> Result<&dyn crate::Runtime, Problem> {
        Ok(self.sandboxes.runtime(&record.runtime)?)
    }

    /// Does something with a running sandbox's runtime.
    pub(super) async fn with_target<T>(
        &self,
        record: &Record,
        live: &Live,
        work: impl AsyncFnOnce(Target<'_>) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let (spec, folders) = (record.spec(), self.sandboxes.folders(record.id));
        work(Target { spec: &spec, folders: &folders, running: Some(&live.running) }).await
    }
}

/// It stops being counted: what it has left is kept for later.
fn keep_time(record: &mut Record, state: SandboxState) {
    if let Some(at) = record.expires_at.take() {
        let left = at.duration_since(Timestamp::now()).as_millis();
        record.time_left = Some(u64::try_from(left).unwrap_or(0));
    }
    record.state = state;
}

/// It is counted again, with at least what it was first given if nothing is left.
fn give_time(record: &mut Record) {
    let Some(left) = record.time_left.take() else { return };
    let given = record.options.timeout.unwrap_or(0).saturating_mul(1000);
    let millis = if left == 0 { given } else { left };
    let span = jiff::SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX));
    record.expires_at = Timestamp::now().checked_add(span).ok();
}

/// Its time is never shortened by this.
fn at_least(record: &mut Record, seconds: u64) {
    let before = record.expires_at;
    if before.is_none() && record.options.timeout.is_none() {
        return;
    }
    record.begin_time(Some(seconds));
    record.expires_at = record.expires_at.max(before);
}

fn unfit(record: &Record, state: SandboxState, what: &str) -> Problem {
    let word = match state {
        SandboxState::Creating => "being made",
        SandboxState::Running => "running",
        SandboxState::Paused => "paused",
        SandboxState::Stopped => "stopped",
        SandboxState::Removing => "being removed",
    };
    let problem = conflict(
        "sandbox.not_running",
        format!("the sandbox {} is {word}, so it can't be {what}", record.label()),
    );
    match state {
        SandboxState::Paused | SandboxState::Stopped => {
            problem.hint(format!("run 'atelier sandbox resume {}'", record.label()))
        }
        _ => problem,
    }
}
