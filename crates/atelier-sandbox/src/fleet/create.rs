//! A new sandbox: planned, written down, brought up. Whatever fails takes everything back.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use atelier_api::sandbox::{SandboxDetail, SandboxOptions, SandboxState};
use atelier_api::{ExitCode, Problem};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::record::Record;
use super::{Entry, Fleet, broken, conflict, store};

/// How long a guest may take to answer; an emulated machine on a busy host takes long.
const PATIENCE: Duration = Duration::from_secs(120);

impl Fleet {
    /// Makes a sandbox and starts it.
    ///
    /// # Errors
    /// What it can't be made of, or what keeps it from starting; nothing of it is left then.
    pub async fn create(&self, options: SandboxOptions) -> Result<SandboxDetail, Problem> {
        let fleet = self.me()?;
        self.whole(async move {
            let record = fleet.plan(options).await?;
            let entry = fleet.make(record).await?;
            Ok(fleet.detail(&entry.record()))
        })
        .await
    }

    /// Makes the sandbox of a record and starts it.
    pub(super) async fn make(&self, record: Record) -> Result<Arc<Entry>, Problem> {
        // A volume does not go between here and the moment when others see who has it.
        let held = self.volumes.held.read().await;
        self.volumes_are_there(&record)?;
        if !store::claim(&self.store, &record).await? {
            return Err(conflict(
                "sandbox.exists",
                format!("a sandbox has the name {} already", record.label()),
            )
            .hint("choose another name, or remove that sandbox"));
        }
        let entry = Entry::new(record);
        self.sandboxes.set_standalone(entry.id, true);
        self.entries().insert(entry.id, entry.clone());
        drop(held);
        let change = entry.change.lock().await;
        match self.bring_up(&entry).await {
            Ok(()) => {
                drop(change);
                self.announce(entry.id, "created");
                Ok(entry)
            }
            Err(problem) => {
                if let Err(error) = self.discard(&entry).await {
                    tracing::error!(%error, id = %entry.id, "a failed sandbox stays behind");
                }
                Err(problem)
            }
        }
    }

    /// Starts what is not running, tells the guest who it is, and writes down that it runs.
    pub(super) async fn bring_up(&self, entry: &Entry) -> Result<(), Problem> {
        let record = entry.record();
        let state = record.resume_from.as_deref();
        let mut spec = record.spec();
        spec.policy.intercept = self.intercept(&record)?;
        let live = self.sandboxes.ensure_running_from(&spec, state).await?;
        self.introduce(&record, &live.guest).await?;
        let notes = live.running.notes.clone();
        self.write(entry, |record| {
            record.state = SandboxState::Running;
            record.started_at = jiff::Timestamp::now();
            record.resume_from = None;
            record.token_of = None;
            record.notes = notes;
        })
        .await?;
        if state.is_none() {
            self.start_command(&record, &live.guest).await?;
        }
        self.clock.notify_one();
        Ok(())
    }

    /// Tells the guest what it serves with: again after each start, and after a pause, when its
    /// clock may be behind.
    pub(super) async fn introduce(
        &self,
        record: &Record,
        guest: &atelier_guest::client::Guest,
    ) -> Result<(), Problem> {
        // A machine of its own has a clock, a name and a random generator of its own.
        let can = self.runtime(record)?.capabilities();
        let machine = can.own_kernel;
        let named = machine || (can.host_name_saved && record.resume_from.is_some());
        let settings = atelier_guest::wire::InitRequest {
            env_vars: Some(record.options.variables.clone()),
            access_token: Some(self.secret.token("guest", record.id)),
            timestamp: Some(jiff::Timestamp::now().to_string()),
            default_user: record.options.user.clone(),
            default_workdir: record.options.workdir.clone(),
            hostname: named.then(|| record.spec().hostname),
            trust: self.trusted_by(record)?,
            entropy: machine.then(entropy).transpose().map_err(|e| broken(&e))?,
        };
        // It wants to see the token that it has; one that was just started has none yet.
        let before = self.secret.token("guest", record.token_of.unwrap_or(record.id));
        let guest = guest.clone().with_token(before);
        match tokio::time::timeout(PATIENCE, guest.init(&settings)).await {
            Ok(done) => done.map_err(|e| crate::SandboxError::from(e).into()),
            Err(_) => Err(silent(record)),
        }
    }
}

fn silent(record: &Record) -> Problem {
    Problem::new(
        "sandbox.silent",
        ExitCode::Engine,
        format!("the guest of the sandbox {} does not answer", record.label()),
    )
    .hint("its log may say why: 'atelier doctor', or start it again")
}

/// 32 random bytes, in Base64.
fn entropy() -> std::io::Result<String> {
    let mut random = [0u8; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(STANDARD.encode(random))
}
