//! Builds of templates: starting one, its status and its log. A build is a sandbox in which the
//! steps are done and whose files are then frozen; `run.rs` says how.

mod base;
mod cache;
mod copy;
mod finish;
mod log;
mod order;
mod record;
mod run;
mod shell;
mod steps;
mod store;
mod words;

use atelier_api::sandbox::{SandboxList, SandboxListInput, SandboxRemove, SandboxRemoveInput};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use crate::request::{Body, Caller, Params};
use crate::sandboxes::is_of_a_build;
use crate::templates::names::TemplateName;
use crate::{Door, E2b, E2bError};

pub(crate) use cache::is_kept_point;
pub(crate) use record::{Record, Status};
pub(crate) use store::Builds;

use log::{Entry, Level};
use record::Reason;

/// The metadata that marks the sandbox of a build.
pub(crate) const MARK: &str = "atelier.template-build";
/// The most entries of a log in one answer.
const MOST: usize = 100;

/// `POST /v2/templates/{id}/builds/{build}`.
pub(crate) async fn start<D: Door>(
    Caller(door): Caller<D>,
    State(e2b): State<E2b>,
    Path((id, build)): Path<(String, String)>,
    Body(request): Body<order::Request>,
) -> Result<StatusCode, E2bError> {
    let plan = request.plan(&door.uploads())?;
    let build = find(&door, &e2b, &id, &build).await?;
    e2b.inner.builds.begin(&door.uploads(), &build).await?;
    tokio::spawn(run::run(door, e2b, build, plan));
    Ok(StatusCode::ACCEPTED)
}

/// `TemplateBuildInfo`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Info {
    #[serde(rename = "templateID")]
    template: String,
    #[serde(rename = "buildID")]
    build: Uuid,
    status: Status,
    /// What clients of before structured logs read; none are left.
    logs: [String; 0],
    log_entries: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<ReasonView>,
}

/// `BuildStatusReason`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ReasonView {
    #[serde(flatten)]
    reason: Reason,
    log_entries: Vec<Entry>,
}

/// `GET /templates/{id}/builds/{build}/status`.
pub(crate) async fn status<D: Door>(
    Caller(door): Caller<D>,
    State(e2b): State<E2b>,
    Path((id, build)): Path<(String, String)>,
    params: Params,
) -> Result<Json<Info>, E2bError> {
    let build = find(&door, &e2b, &id, &build).await?;
    // The status first: when it says that the build is over, the log is whole.
    let record = build.record();
    let log = e2b.inner.builds.log(&door.uploads(), &build).await;
    let (limit, level) = (limit(&params)?, level(&params)?);
    let offset = usize::try_from(params.number("logsOffset")?.unwrap_or(0)).unwrap_or(0);
    let shown = log.iter().filter(|entry| entry.level >= level).skip(offset).take(limit);
    let log_entries: Vec<Entry> = shown.cloned().collect();
    let reason = record.reason.map(|reason| {
        let of_step = |entry: &&Entry| entry.level >= Level::Warn && entry.step == reason.step;
        ReasonView { log_entries: log.iter().filter(of_step).cloned().collect(), reason }
    });
    Ok(Json(Info {
        template: record.template,
        build: record.id,
        status: record.status,
        logs: [],
        log_entries,
        reason,
    }))
}

/// `TemplateBuildLogsResponse`.
#[derive(Debug, Serialize)]
pub(crate) struct Logs {
    logs: Vec<Entry>,
}

/// `GET /templates/{id}/builds/{build}/logs`, from a moment on or back from it.
pub(crate) async fn logs<D: Door>(
    Caller(door): Caller<D>,
    State(e2b): State<E2b>,
    Path((id, build)): Path<(String, String)>,
    params: Params,
) -> Result<Json<Logs>, E2bError> {
    let build = find(&door, &e2b, &id, &build).await?;
    let log = e2b.inner.builds.log(&door.uploads(), &build).await;
    let (limit, level, cursor) = (limit(&params)?, level(&params)?, params.number("cursor")?);
    let back = params.get("direction") == Some("backward");
    let mut logs: Vec<Entry> = log
        .into_iter()
        .filter(|entry| entry.level >= level)
        .filter(|entry| {
            let at = entry.timestamp.as_millisecond();
            cursor.is_none_or(|cursor| if back { at <= cursor } else { at >= cursor })
        })
        .collect();
    if back {
        logs.reverse();
    }
    logs.truncate(limit);
    Ok(Json(Logs { logs }))
}

fn limit(params: &Params) -> Result<usize, E2bError> {
    let asked = params.number("limit")?.and_then(|limit| usize::try_from(limit).ok());
    Ok(asked.unwrap_or(MOST).min(MOST))
}

fn level(params: &Params) -> Result<Level, E2bError> {
    let asked = params.get("level").map(|level| {
        Level::parse(level).ok_or_else(|| E2bError::Invalid(format!("unknown level '{level}'")))
    });
    asked.unwrap_or(Ok(Level::Debug))
}

async fn find<D: Door>(
    door: &D,
    e2b: &E2b,
    template: &str,
    build: &str,
) -> Result<store::Shared, E2bError> {
    let none = || E2bError::NotFound(format!("Build '{build}' not found"));
    let id =
        Uuid::parse_str(build).map_err(|_| E2bError::Invalid("Invalid build id".to_owned()))?;
    let found = e2b.inner.builds.find(&door.uploads(), id).await?.ok_or_else(none)?;
    let name = TemplateName::asked(template)?;
    Some(found).filter(|found| found.record().template == name.id).ok_or_else(none)
}

/// Removes the sandboxes of builds that an earlier process began.
pub(crate) async fn sweep<D: Door>(door: &D) -> Result<(), E2bError> {
    for sandbox in door.call::<SandboxList>(SandboxListInput::default()).await? {
        if is_of_a_build(&sandbox) {
            let sandbox = sandbox.id;
            if let Err(error) =
                door.call::<SandboxRemove>(SandboxRemoveInput { sandbox: sandbox.clone() }).await
            {
                tracing::warn!(sandbox, %error, "the sandbox of an interrupted build stays");
            }
        }
    }
    Ok(())
}
