//! Taking up a sandbox again: `POST …/connect` of both versions, and `POST …/resume`.

use atelier_api::sandbox::{
    SandboxDetail, SandboxExtend, SandboxExtendInput, SandboxRef, SandboxResume,
    SandboxResumeInput, SandboxState, SandboxStop,
};
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::create::{LEGACY_TIMEOUT, seconds};
use super::find;
use super::view::SandboxView;
use crate::request::{Body, Caller};
use crate::{Door, E2bError};

/// Seconds that a connected sandbox lives at least, when nothing is said.
const TIMEOUT: u64 = 300;

/// `ConnectSandbox` of both versions, and `ResumedSandbox`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Connect {
    timeout: Option<i64>,
    memory: Option<bool>,
}

type Connected = Result<(StatusCode, Json<SandboxView>), E2bError>;

/// `POST /v2/sandboxes/{id}/connect`.
pub(crate) async fn current<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
    Body(request): Body<Connect>,
) -> Connected {
    let timeout = seconds(request.timeout, TIMEOUT)?;
    connect(door, &id, timeout, request.memory).await
}

/// `POST /sandboxes/{id}/connect`.
pub(crate) async fn legacy<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
    Body(request): Body<Connect>,
) -> Connected {
    let timeout = seconds(request.timeout, LEGACY_TIMEOUT)?;
    connect(door, &id, timeout, request.memory).await
}

/// `POST /sandboxes/{id}/resume`.
pub(crate) async fn resume<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
    Body(request): Body<Connect>,
) -> Connected {
    let detail = find(&door, &id).await?;
    if !is_paused(&detail) {
        return Err(E2bError::Conflict(format!("Sandbox {id} is already running")));
    }
    let timeout = seconds(request.timeout, LEGACY_TIMEOUT)?;
    go_on(door, detail, timeout, request.memory).await
}

async fn connect<D: Door>(door: D, id: &str, timeout: u64, memory: Option<bool>) -> Connected {
    let detail = find(&door, id).await?;
    if is_paused(&detail) {
        return go_on(door, detail, timeout, memory).await;
    }
    extend(&door, &detail, timeout).await?;
    Ok((StatusCode::OK, Json(SandboxView::new(detail, door.domain()))))
}

fn is_paused(detail: &SandboxDetail) -> bool {
    matches!(detail.sandbox.state, SandboxState::Paused | SandboxState::Stopped)
}

async fn go_on<D: Door>(
    door: D,
    detail: SandboxDetail,
    timeout: u64,
    memory: Option<bool>,
) -> Connected {
    let sandbox = detail.sandbox.id;
    if memory == Some(false) && detail.sandbox.state == SandboxState::Paused {
        // Without its memory: what was paused is ended, and starts anew from its files.
        door.call::<SandboxStop>(SandboxRef { sandbox: sandbox.clone() }).await?;
    }
    let input = SandboxResumeInput { sandbox, timeout: Some(timeout) };
    let detail = door.call::<SandboxResume>(input).await?;
    Ok((StatusCode::CREATED, Json(SandboxView::new(detail, door.domain()))))
}

/// Lets a sandbox live for this long from now on, unless it would live longer anyway.
pub(crate) async fn extend<D: Door>(
    door: &D,
    detail: &SandboxDetail,
    timeout: u64,
) -> Result<(), E2bError> {
    let Some(end) = detail.sandbox.expires_at else { return Ok(()) };
    let wanted = i64::try_from(timeout)
        .ok()
        .and_then(|s| Timestamp::now().checked_add(SignedDuration::from_secs(s)).ok());
    if wanted.is_some_and(|wanted| wanted <= end) {
        return Ok(());
    }
    let sandbox = detail.sandbox.id.clone();
    let input = SandboxExtendInput { sandbox, timeout: Some(timeout) };
    door.call::<SandboxExtend>(input).await?;
    Ok(())
}
