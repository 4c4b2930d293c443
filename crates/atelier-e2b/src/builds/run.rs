//! One build from beginning to end: a sandbox from the base, the steps in it, and its files
//! frozen as a template. The sandbox is removed whatever happens.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use atelier_api::sandbox::{
    NetworkPolicy, SandboxCreate, SandboxOptions, SandboxRemove, SandboxRemoveInput,
};

use super::base::{self, Base, PREPARE};
use super::log::Level;
use super::order::Plan;
use super::record::Reason;
use super::shell::{Context, Lines, Shell};
use super::store::Shared;
use super::{MARK, cache, finish, steps};
use crate::{Door, E2b, E2bError};

/// How long a build may take; its sandbox lives a little longer.
const LONGEST: Duration = Duration::from_secs(6 * 3600);
/// What is reported as failing before the first step.
const BASE: &str = "base";

impl Reason {
    fn at(step: &str, message: impl Into<String>) -> Self {
        Self { message: message.into(), step: Some(step.to_owned()) }
    }
}

/// The sandbox of a build, once there is one.
type Room = Arc<Mutex<Option<String>>>;

/// Does a build, and notes how it ended.
pub(super) async fn run<D: Door>(door: D, e2b: E2b, build: Shared, plan: Plan) {
    let room = Room::default();
    let work = Work { door: door.clone(), e2b: e2b.clone(), build: build.clone(), plan };
    // In a task of its own: a panic in it must not leave a build that never ends.
    let limited = tokio::time::timeout(LONGEST, work.all(room.clone()));
    let failed = match tokio::spawn(limited).await {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(reason))) => Some(reason),
        Ok(Err(_)) => Some(Reason { message: "build timed out".to_owned(), step: None }),
        Err(error) => Some(Reason { message: format!("the build broke off: {error}"), step: None }),
    };
    let sandbox = room.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(sandbox) = sandbox
        && let Err(error) = door.call::<SandboxRemove>(SandboxRemoveInput { sandbox }).await
    {
        tracing::warn!(%error, "the sandbox of a template build stays until its time is over");
    }
    match &failed {
        Some(reason) => {
            let message = format!("Build failed: {}", reason.message);
            build.say(Level::Error, reason.step.as_deref(), &message);
        }
        None => build.say(Level::Info, None, "Build finished"),
    }
    e2b.inner.builds.end(&door.uploads(), &build, failed).await;
    if let Err(error) = cache::prune(&door, e2b.inner.settings.kept).await {
        tracing::warn!(%error, "kept points of template builds can't be pruned");
    }
}

struct Work<D> {
    door: D,
    e2b: E2b,
    build: Shared,
    plan: Plan,
}

impl<D: Door> Work<D> {
    async fn all(self, room: Room) -> Result<(), Reason> {
        let at_base = |error: E2bError| Reason::at(BASE, error.message());
        let base = base::resolve(&self.door, &self.plan).await.map_err(at_base)?;
        let points = cache::points(&base, &self.plan);
        let kept = cache::farthest(&self.door, &self.plan, &points).await.map_err(at_base)?;
        self.say(BASE, &format!("[base] FROM {}", base.name));
        let (done, options, context) = match kept {
            Some((done, template)) => {
                let context = Context {
                    user: template.spec.user.unwrap_or_default(),
                    workdir: template.spec.workdir,
                    variables: template.spec.variables,
                };
                let name = Some(template.name);
                (Some(done), SandboxOptions { template: name, ..Default::default() }, context)
            }
            None => (None, base.options(), base.context.clone()),
        };
        let (sandbox, shell) = self.room(options, &room).await?;
        if done.is_none() && base.bare {
            self.prepare(&shell, &context).await?;
        }
        let done = done.unwrap_or(0);
        let context = self.steps(&shell, &sandbox, &base, &points, done, context).await?;
        self.finish(&shell, &sandbox, &base, &context).await
    }

    fn say(&self, step: &str, message: &str) {
        self.build.say(Level::Info, Some(step), message);
    }

    /// Makes the sandbox. It is in `room` from the moment that it is there.
    async fn room(&self, from: SandboxOptions, room: &Room) -> Result<(String, Shell), Reason> {
        let record = self.build.record();
        let options = SandboxOptions {
            resources: record.resources(),
            metadata: [(MARK.to_owned(), record.id.to_string())].into(),
            timeout: Some(LONGEST.as_secs() + 600),
            network: Some(NetworkPolicy::default()),
            ..from
        };
        let failed = |problem| Reason::at(BASE, E2bError::Operation(problem).message());
        let made = self.door.call::<SandboxCreate>(options).await.map_err(failed)?;
        let sandbox = made.sandbox.id;
        *room.lock().unwrap_or_else(PoisonError::into_inner) = Some(sandbox.clone());
        let guest = self.door.guest(&sandbox).await.map_err(failed)?;
        Ok((sandbox, Shell::open(guest, self.e2b.inner.settings.step).await))
    }

    async fn prepare(&self, shell: &Shell, context: &Context) -> Result<(), Reason> {
        self.say(BASE, "[base] Making the default user");
        let lines = Lines { build: &self.build, level: Level::Debug, step: BASE, prefix: "base" };
        let prepared = shell.run(PREPARE, &context.as_root(), &lines).await;
        prepared.map_err(|why| Reason::at(BASE, format!("failed to create user: {why}")))
    }

    async fn steps(
        &self,
        shell: &Shell,
        sandbox: &str,
        base: &Base,
        points: &[String],
        done: usize,
        mut context: Context,
    ) -> Result<Context, Reason> {
        let count = self.plan.steps.len();
        let mut since = Instant::now();
        for (at, step) in self.plan.steps.iter().enumerate() {
            let (number, prefix) = ((at + 1).to_string(), format!("builder {}/{count}", at + 1));
            if at < done {
                self.say(&number, &format!("CACHED [{prefix}] {}", step.text));
                continue;
            }
            self.say(&number, &format!("[{prefix}] {}", step.text));
            let lines =
                Lines { build: &self.build, level: Level::Info, step: &number, prefix: &prefix };
            context = steps::execute(shell, step, &context, &lines)
                .await
                .map_err(|why| Reason::at(&number, why))?;
            let worth = since.elapsed() >= self.e2b.inner.settings.keep_after;
            if at + 1 == count || worth {
                self.keep(&points[at + 1], sandbox, base, &context).await;
                since = Instant::now();
            }
        }
        Ok(context)
    }

    /// A point that can't be kept costs a later build its time, and this one nothing.
    async fn keep(&self, point: &str, sandbox: &str, base: &Base, context: &Context) {
        if let Err(error) = cache::keep(&self.door, point, sandbox, base, context).await {
            self.build.say(Level::Debug, None, &format!("not kept for later builds: {error}"));
        }
    }

    async fn finish(
        &self,
        shell: &Shell,
        sandbox: &str,
        base: &Base,
        context: &Context,
    ) -> Result<(), Reason> {
        let (step, settle) = (finish::STEP, self.e2b.inner.settings.settle);
        self.say(step, "[finalize] Finalizing template build");
        finish::give_home(shell, context, &self.build)
            .await
            .map_err(|why| Reason::at(step, why))?;
        finish::try_start(shell, &self.plan, context, &self.build, settle)
            .await
            .map_err(|why| Reason::at(step, why))?;
        let record = self.build.record();
        finish::commit(&self.door, sandbox, &record, base, &self.plan, context)
            .await
            .map_err(|error| Reason::at(step, error.message()))
    }
}
