//! `GET /v2/sandboxes` with its filters and pages, and `GET /sandboxes` as older clients have it.

use std::collections::BTreeMap;

use atelier_api::sandbox::{Sandbox, SandboxList, SandboxListInput, SandboxState};
use axum::Json;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use jiff::{Timestamp, Unit};

use super::is_of_a_build;
use super::view::{ListedView, StateView, origin};
use crate::paging::Page;
use crate::request::{Caller, Params, unescape};
use crate::{Door, E2bError};

/// `GET /v2/sandboxes`.
pub(crate) async fn all<D: Door>(
    Caller(door): Caller<D>,
    params: Params,
) -> Result<Response, E2bError> {
    let page = Page::asked(&params)?;
    let filter = Filter::asked(&params)?;
    let mut found = visible(&door).await?;
    found.retain(|sandbox| filter.lets(sandbox));
    let running =
        found.iter().filter(|sandbox| StateView::of(sandbox.state) == StateView::Running).count();
    let ordered = found
        .into_iter()
        .map(|sandbox| (sandbox.started_at, sandbox.id.clone(), ListedView::new(sandbox)));
    let mut response = page.of(ordered.collect()).into_response();
    if filter.states.contains(&StateView::Running) {
        response.headers_mut().insert("x-total-running", HeaderValue::from(running));
    }
    Ok(response)
}

/// `GET /sandboxes`: those that run, the newest first.
pub(crate) async fn running<D: Door>(
    Caller(door): Caller<D>,
    params: Params,
) -> Result<Json<Vec<ListedView>>, E2bError> {
    let metadata = words(&params);
    let mut found = visible(&door).await?;
    found.retain(|sandbox| {
        StateView::of(sandbox.state) == StateView::Running && has(sandbox, &metadata)
    });
    found.sort_by_key(|sandbox| std::cmp::Reverse(sandbox.started_at));
    Ok(Json(found.into_iter().map(ListedView::new).collect()))
}

/// The sandboxes that a client of E2B is shown.
async fn visible<D: Door>(door: &D) -> Result<Vec<Sandbox>, E2bError> {
    let mut all = door.call::<SandboxList>(SandboxListInput::default()).await?;
    all.retain(|sandbox| {
        let whole = !matches!(sandbox.state, SandboxState::Creating | SandboxState::Removing);
        whole && !is_of_a_build(sandbox)
    });
    Ok(all)
}

struct Filter {
    states: Vec<StateView>,
    metadata: BTreeMap<String, String>,
    started_after: Option<Timestamp>,
    template: Option<String>,
}

impl Filter {
    fn asked(params: &Params) -> Result<Self, E2bError> {
        let mut states = Vec::new();
        for state in params.list("state") {
            states.push(match state {
                "running" => StateView::Running,
                "paused" => StateView::Paused,
                other => return Err(E2bError::Invalid(format!("unknown state '{other}'"))),
            });
        }
        if states.is_empty() {
            states = vec![StateView::Running, StateView::Paused];
        }
        Ok(Self {
            states,
            metadata: words(params),
            started_after: params.time("startedAfter")?.map(microseconds),
            template: params.get("template").map(str::to_owned),
        })
    }

    fn lets(&self, sandbox: &Sandbox) -> bool {
        let is_template = |wanted: &String| {
            sandbox.template.as_ref() == Some(wanted) || &origin(sandbox).0 == wanted
        };
        self.states.contains(&StateView::of(sandbox.state))
            && has(sandbox, &self.metadata)
            && self.started_after.is_none_or(|after| microseconds(sandbox.started_at) >= after)
            && self.template.as_ref().is_none_or(is_template)
    }
}

/// Python keeps microseconds of a time: what it was given must compare as equal.
fn microseconds(time: Timestamp) -> Timestamp {
    let cut = jiff::TimestampRound::new().smallest(Unit::Microsecond).mode(jiff::RoundMode::Floor);
    time.round(cut).unwrap_or(time)
}

/// The metadata filter: a query within the query, whose names and values are encoded once more.
fn words(params: &Params) -> BTreeMap<String, String> {
    let Some(query) = params.get("metadata") else { return BTreeMap::new() };
    let query = unescape(query);
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (unescape(key), unescape(value)))
        .collect()
}

fn has(sandbox: &Sandbox, metadata: &BTreeMap<String, String>) -> bool {
    metadata.iter().all(|(key, value)| sandbox.metadata.get(key) == Some(value))
}
