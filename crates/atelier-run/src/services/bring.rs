//! A project's containers brought up: one by one through the engine, or by Compose where its file says
//! what only Compose knows.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use atelier_api::Problem;
use atelier_compose::direct::{Direct, DirectService, PROJECT, Pull, direct as told};
use atelier_compose::{Generated, Loader, Tool};
use atelier_engine::{Engine, Run};

use futures_util::future::try_join_all;

use super::{direct, wait};
use crate::workshop::Workshop;

/// On every container that Compose makes.
const BY_COMPOSE: &str = "com.docker.compose.version";

/// What is brought up.
pub(super) struct Bring<'a> {
    pub(super) engine: &'a Engine,
    /// The Compose project's name.
    pub(super) project: &'a str,
    /// Our label that all of it has.
    pub(super) label: &'a str,
    pub(super) file: &'a Path,
    /// The folder that relative paths start from.
    pub(super) folder: &'a Path,
    pub(super) plan: &'a Generated,
    /// These services with what they need; all when empty.
    pub(super) only: &'a [String],
    pub(super) build: bool,
    pub(super) recreate: bool,
    pub(super) limit: Duration,
    /// What secrets and configs are made of.
    pub(super) variables: Vec<(String, String)>,
}

impl Workshop {
    /// Brings containers up.
    pub(super) async fn bring(self: &Arc<Self>, bring: &Bring<'_>) -> Result<(), Problem> {
        let variables = bring.variables.iter().cloned().collect();
        let loader = self.driver.loader().await?;
        match (told(bring.plan, &variables, bring.file, bring.folder), &*loader) {
            (Ok(plan), Loader::Native) => one_by_one(bring, &plan).await,
            (Err(error), Loader::Native) => Err(error.into()),
            // Who names a program wants it to be used.
            (Ok(plan), Loader::Tool(_))
                if self.driver.settings.compose.is_none() && ours(bring, &plan).await? =>
            {
                one_by_one(bring, &plan).await
            }
            (_, Loader::Tool(tool)) => by_compose(bring, tool).await,
        }
    }
}

/// Whether what Compose could do is done without its start: when every image is there, since Compose knows
/// how to log in and to build, and nothing there was made by Compose, which would be made anew.
async fn ours(bring: &Bring<'_>, plan: &Direct) -> Result<bool, Problem> {
    let quiet = |service: &DirectService| {
        service.build.is_none() && matches!(service.pull, Pull::Missing | Pull::Never)
    };
    if bring.build || !plan.services.iter().all(quiet) {
        return Ok(false);
    }
    let mut names: Vec<&str> = plan.services.iter().map(|s| s.image.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let label = [format!("{PROJECT}={}", bring.project)];
    let (there, images) = tokio::try_join!(
        bring.engine.containers(&label),
        try_join_all(names.into_iter().map(|name| bring.engine.image(name)))
    )?;
    Ok(images.iter().all(Option::is_some)
        && !there.iter().any(|c| c.labels.contains_key(BY_COMPOSE)))
}

async fn one_by_one(bring: &Bring<'_>, plan: &Direct) -> Result<(), Problem> {
    let work = direct::Work::new(bring, plan).await?;
    match tokio::time::timeout(bring.limit, work.run()).await {
        Ok(done) => done,
        Err(_) => Err(wait::late(bring.engine, bring.label, bring.limit).await),
    }
}

async fn by_compose(bring: &Bring<'_>, tool: &Tool) -> Result<(), Problem> {
    let mut words = vec!["up", "--detach", "--remove-orphans"];
    words.extend(bring.build.then_some("--build"));
    words.extend(bring.recreate.then_some("--force-recreate"));
    let only = bring.only.iter().map(String::as_str);
    let run = Run {
        argv: &tool.argv,
        project: bring.project,
        file: bring.file,
        folder: bring.folder,
        arguments: words.into_iter().chain(only).map(Into::into).collect(),
        limit: bring.limit,
        variables: bring.variables.clone(),
    };
    let _turn = bring.engine.turn().await;
    let project = bring.project;
    let done = bring.engine.compose(run, &mut |line| tracing::debug!(project, line)).await;
    let Err(error) = done else { return Ok(()) };
    match wait::blame(bring.engine, bring.label).await {
        Some(problem) => Err(problem),
        None => Err(error.into()),
    }
}
