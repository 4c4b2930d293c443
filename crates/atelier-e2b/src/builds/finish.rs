//! The end of a build: the start command is tried, and the files are frozen as the template.

use std::time::Duration;

use atelier_api::image::{TemplateCommit, TemplateCommitInput, TemplateSpec};
use tokio::time::{Instant, sleep, timeout};

use super::base::{Base, USER};
use super::log::Level;
use super::order::Plan;
use super::record::Record;
use super::shell::{Context, Lines, Shell};
use super::store::Shared;
use crate::templates::names::TemplateName;
use crate::{Door, E2bError};

/// The step that failures are reported as.
pub(super) const STEP: &str = "finalize";
/// How long the ready command may go on failing.
const READY: Duration = Duration::from_secs(600);
/// How long is waited before it is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// How long a start command gets to end when it is told to.
const GRACE: Duration = Duration::from_secs(5);
/// The start command finds its processes by this, to end them.
const PIDFILE: &str = "/var/tmp/.e2b-start-pid";

/// Runs the start command until the ready command succeeds, and ends it again: it is started
/// anew in each sandbox of the template.
pub(super) async fn try_start(
    shell: &Shell,
    plan: &Plan,
    context: &Context,
    build: &Shared,
    settle: Duration,
) -> Result<(), String> {
    let Some(start) = &plan.start else {
        return match &plan.ready {
            Some(ready) => until_ready(shell, ready, context, build).await,
            None => Ok(()),
        };
    };
    build.say(Level::Info, Some(STEP), &format!("Running start command: {start}"));
    let lines = Lines { build, level: Level::Info, step: STEP, prefix: "start" };
    let command = format!("echo $$ >{PIDFILE} 2>/dev/null\n{start}");
    let running = shell.run(&command, context, &lines);
    let ready = async {
        match &plan.ready {
            Some(ready) => until_ready(shell, ready, context, build).await,
            None => {
                sleep(settle).await;
                Ok(())
            }
        }
    };
    tokio::pin!(running, ready);
    tokio::select! {
        ready = &mut ready => {
            ready?;
            end(shell, context, build).await;
            // How it ends now is no failure: it was told to.
            let _ = timeout(GRACE, running).await;
            Ok(())
        }
        ended = &mut running => match ended {
            Ok(()) => {
                ready.await?;
                // A note that stays in the template does no harm.
                let _ = shell.output(&format!("rm -f {PIDFILE}"), &context.as_root()).await;
                Ok(())
            }
            Err(why) => Err(format!("start command failed: error running start command: {why}")),
        },
    }
}

async fn until_ready(
    shell: &Shell,
    ready: &str,
    context: &Context,
    build: &Shared,
) -> Result<(), String> {
    build.say(Level::Info, Some(STEP), &format!("Waiting for template to be ready: {ready}"));
    let lines = Lines { build, level: Level::Debug, step: STEP, prefix: "ready" };
    let since = Instant::now();
    loop {
        match shell.run(ready, context, &lines).await {
            Ok(()) => {
                build.say(Level::Info, Some(STEP), "Template is ready");
                return Ok(());
            }
            Err(why) if since.elapsed() > READY => {
                let after = since.elapsed().as_secs();
                return Err(format!("ready command failed: timed out after {after} s: {why}"));
            }
            Err(why) => {
                build.say(Level::Debug, Some(STEP), &format!("Template is not ready: {why}"));
                sleep(AGAIN).await;
            }
        }
    }
}

/// Tells the start command and what it started to end.
async fn end(shell: &Shell, context: &Context, build: &Shared) {
    let lines = Lines { build, level: Level::Debug, step: STEP, prefix: "start" };
    let command = format!(
        "tree() {{ for child in $(cat /proc/\"$1\"/task/*/children 2>/dev/null); do\n\
         tree \"$child\"; done; echo \"$1\"; }}\n\
         [ -f {PIDFILE} ] || exit 0\n\
         all=$(tree \"$(cat {PIDFILE})\")\n\
         kill -TERM $all 2>/dev/null\n\
         for _ in 1 2 3 4; do kill -0 $all 2>/dev/null || break; sleep 1; done\n\
         kill -KILL $all 2>/dev/null\n\
         rm -f {PIDFILE}"
    );
    if let Err(why) = shell.run(&command, &context.as_root(), &lines).await {
        build.say(Level::Debug, Some(STEP), &format!("the start command was not ended: {why}"));
    }
}

/// Gives the home to its user: steps of root may have written there.
pub(super) async fn give_home(
    shell: &Shell,
    context: &Context,
    build: &Shared,
) -> Result<(), String> {
    let lines = Lines { build, level: Level::Debug, step: STEP, prefix: "config" };
    let command = format!("if id {USER} >/dev/null 2>&1; then chown -Rh {USER}: /home/{USER}; fi");
    let given = shell.run(&command, &context.as_root(), &lines).await;
    given.map_err(|why| format!("configuration script failed: {why}"))
}

/// Freezes the sandbox's files under each of the template's names.
pub(super) async fn commit<D: Door>(
    door: &D,
    sandbox: &str,
    record: &Record,
    base: &Base,
    plan: &Plan,
    context: &Context,
) -> Result<(), E2bError> {
    let spec = TemplateSpec {
        image: base.name.clone(),
        setup: plan.steps.iter().map(|step| step.text.clone()).collect(),
        variables: context.variables.clone(),
        user: Some(context.user.clone()),
        workdir: context.workdir.clone(),
        start: plan.start.clone(),
        ready: plan.ready.clone().filter(|ready| plan.start.is_some() && !is_a_pause(ready)),
        resources: record.resources(),
        ..TemplateSpec::default()
    };
    let name = TemplateName { id: record.template.clone(), tag: None };
    for tag in &record.tags {
        let input = TemplateCommitInput {
            name: name.tagged(tag).ours(),
            sandbox: sandbox.to_owned(),
            spec: spec.clone(),
        };
        door.call::<TemplateCommit>(input).await?;
    }
    Ok(())
}

/// Whether a ready command only waits: that was done once, and tells nothing about a sandbox.
fn is_a_pause(ready: &str) -> bool {
    let seconds = ready.trim().strip_prefix("sleep ").map(str::trim);
    seconds.is_some_and(|seconds| seconds.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_no_check() {
        assert!(is_a_pause("sleep 10") && is_a_pause(" sleep 0.5 "));
        assert!(!is_a_pause("curl -s localhost") && !is_a_pause("sleep 1 && test -f x"));
    }
}
