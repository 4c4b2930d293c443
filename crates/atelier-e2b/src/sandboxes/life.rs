//! The end of a sandbox, and how long it is away: `DELETE`, `timeout`, `refreshes`, `pause`.

use std::time::Duration;

use atelier_api::sandbox::{
    SandboxExtend, SandboxExtendInput, SandboxPause, SandboxRef, SandboxRemove, SandboxRemoveInput,
    SandboxState, SandboxStop,
};
use axum::extract::Path;
use axum::http::StatusCode;
use serde::Deserialize;

use super::connect::extend;
use super::create::LEGACY_TIMEOUT;
use super::find;
use crate::request::{Body, Caller};
use crate::{Door, E2bError};

/// How long a guest may take to answer before it counts as not healthy.
const HEALTHY: Duration = Duration::from_secs(5);
/// The longest that a refresh gives, in seconds.
const LONGEST_REFRESH: u64 = 3600;

type Done = Result<StatusCode, E2bError>;

/// `DELETE /sandboxes/{id}`.
pub(crate) async fn kill<D: Door>(Caller(door): Caller<D>, Path(id): Path<String>) -> Done {
    let sandbox = find(&door, &id).await?.sandbox.id;
    match door.call::<SandboxRemove>(SandboxRemoveInput { sandbox }).await {
        Ok(_) => Ok(StatusCode::NO_CONTENT),
        // Somebody else, or its time, was faster.
        Err(problem) if problem.status == 404 => Err(E2bError::no_sandbox(&id)),
        Err(problem) => Err(problem.into()),
    }
}

/// `SandboxTimeoutRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Timeout {
    timeout: i64,
}

/// `POST …/timeout`: its time from now on; none left when it is 0 or less.
pub(crate) async fn timeout<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
    Body(request): Body<Timeout>,
) -> Done {
    let sandbox = find(&door, &id).await?.sandbox.id;
    let timeout = Some(u64::try_from(request.timeout).unwrap_or(0));
    door.call::<SandboxExtend>(SandboxExtendInput { sandbox, timeout }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `SandboxRefreshRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Refresh {
    duration: Option<u64>,
}

/// `POST …/refreshes`: at least this time from now on.
pub(crate) async fn refresh<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
    Body(request): Body<Refresh>,
) -> Done {
    let detail = find(&door, &id).await?;
    let wanted = request.duration.unwrap_or(LEGACY_TIMEOUT);
    extend(&door, &detail, wanted.clamp(LEGACY_TIMEOUT, LONGEST_REFRESH)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `SandboxPauseRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Pause {
    memory: Option<bool>,
    require_healthy_guest: bool,
}

/// `POST …/pause`: without memory it is what we call a stop.
pub(crate) async fn pause<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
    Body(request): Body<Pause>,
) -> Done {
    let detail = find(&door, &id).await?;
    let sandbox = detail.sandbox.id;
    if matches!(detail.sandbox.state, SandboxState::Paused | SandboxState::Stopped) {
        let why = format!("Error pausing sandbox - sandbox '{id}' is already paused");
        return Err(E2bError::Conflict(why));
    }
    if request.require_healthy_guest && !healthy(&door, &sandbox).await {
        let why = format!("Sandbox '{id}' cannot be paused: its guest does not answer");
        return Err(E2bError::Busy(why));
    }
    let reference = SandboxRef { sandbox };
    if request.memory == Some(false) {
        door.call::<SandboxStop>(reference).await?;
    } else {
        door.call::<SandboxPause>(reference).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn healthy<D: Door>(door: &D, sandbox: &str) -> bool {
    let asked = async {
        match door.guest(sandbox).await {
            Ok(guest) => guest.health().await.is_ok(),
            Err(_) => false,
        }
    };
    tokio::time::timeout(HEALTHY, asked).await.unwrap_or(false)
}
