//! `GET …/metrics` of one sandbox over time, and of several at this moment.

use std::collections::BTreeMap;

use atelier_api::sandbox::{MetricsSample, SandboxMetrics, SandboxMetricsInput};
use axum::Json;
use axum::extract::Path;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::find;
use crate::request::{Caller, Params};
use crate::{Door, E2bError};

/// The most sandboxes of one call.
const MOST: usize = 100;

/// `SandboxMetric`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MetricView {
    timestamp: Timestamp,
    timestamp_unix: i64,
    cpu_count: u64,
    cpu_used_pct: f64,
    mem_used: u64,
    mem_total: u64,
    mem_cache: u64,
    disk_used: u64,
    disk_total: u64,
}

impl MetricView {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of processors is small and not negative"
    )]
    fn new(sample: &MetricsSample) -> Self {
        Self {
            timestamp: Timestamp::from_second(sample.at).unwrap_or_default(),
            timestamp_unix: sample.at,
            cpu_count: sample.cpu_count.ceil().max(1.0) as u64,
            cpu_used_pct: (sample.cpu_percent * 100.0).round() / 100.0,
            mem_used: sample.memory_used,
            mem_total: sample.memory_total,
            mem_cache: sample.memory_cache,
            disk_used: sample.disk_used,
            disk_total: sample.disk_total,
        }
    }
}

/// `GET /sandboxes/{id}/metrics`, from `start` to `end` in seconds since 1970.
pub(crate) async fn of_one<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Vec<MetricView>>, E2bError> {
    let moment = |name| {
        let second = params.number(name)?;
        let wrong = |_| E2bError::Invalid(format!("{name} is no time"));
        second.map(|second| Timestamp::from_second(second).map_err(wrong)).transpose()
    };
    let since = moment("start")?;
    // Clients cut off what is below a second: the whole of the last one is meant.
    let rest = SignedDuration::from_nanos(999_999_999);
    let until = moment("end")?.map(|end| end.checked_add(rest).unwrap_or(end));
    let sandbox = find(&door, &id).await?.sandbox.id;
    let samples =
        door.call::<SandboxMetrics>(SandboxMetricsInput { sandbox, since, until }).await?;
    Ok(Json(samples.iter().map(MetricView::new).collect()))
}

/// `SandboxesWithMetrics`.
#[derive(Debug, Serialize)]
pub(crate) struct Latest {
    sandboxes: BTreeMap<String, MetricView>,
}

/// `GET /sandboxes/metrics`: the newest sample of each; one that is gone is left out.
pub(crate) async fn latest<D: Door>(
    Caller(door): Caller<D>,
    params: Params,
) -> Result<Json<Latest>, E2bError> {
    let ids = params.list("sandbox_ids");
    if ids.len() > MOST {
        return Err(E2bError::Invalid(format!("sandbox_ids are {MOST} at most")));
    }
    let mut sandboxes = BTreeMap::new();
    for id in ids {
        let Ok(detail) = find(&door, id).await else { continue };
        let input = SandboxMetricsInput { sandbox: detail.sandbox.id, ..Default::default() };
        let samples = door.call::<SandboxMetrics>(input).await?;
        if let Some(newest) = samples.iter().max_by_key(|sample| sample.at) {
            sandboxes.insert(id.to_owned(), MetricView::new(newest));
        }
    }
    Ok(Json(Latest { sandboxes }))
}
