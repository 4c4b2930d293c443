//! Showing templates: `GET /v2/templates`, `GET /templates`, `GET /templates/{id}`; and `PATCH`.

use atelier_api::image::Template;
use atelier_guest::wire::ENVD_VERSION;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::catalog::{self, Group, build_id};
use super::names::TemplateName;
use crate::builds::{Record, Status};
use crate::paging::Page;
use crate::request::{Caller, Params};
use crate::sandboxes::view::{cpus, memory_mb};
use crate::{Door, E2b, E2bError};

/// `Template`, with what `TemplateLegacy` has besides.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TemplateView {
    #[serde(rename = "templateID")]
    id: String,
    #[serde(rename = "buildID")]
    build: Uuid,
    cpu_count: u64,
    #[serde(rename = "memoryMB")]
    memory_mb: u64,
    #[serde(rename = "diskSizeMB")]
    disk_mb: u64,
    public: bool,
    aliases: Vec<String>,
    names: Vec<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    created_by: Option<()>,
    last_spawned_at: Option<Timestamp>,
    spawn_count: u64,
    build_count: usize,
    envd_version: &'static str,
    build_status: Status,
}

impl TemplateView {
    fn new(group: &Group, newest: &Template) -> Self {
        let created = group.tags.iter().map(|template| template.built_at).min();
        Self {
            id: group.id.clone(),
            build: build_id(newest),
            cpu_count: cpus(&newest.spec.resources),
            memory_mb: memory_mb(&newest.spec.resources),
            disk_mb: newest.size_bytes >> 20,
            public: false,
            aliases: vec![group.id.clone()],
            names: vec![group.id.clone()],
            created_at: created.unwrap_or(newest.built_at),
            updated_at: newest.built_at,
            created_by: None,
            last_spawned_at: None,
            spawn_count: 0,
            build_count: group.tags.len(),
            envd_version: ENVD_VERSION,
            build_status: Status::Ready,
        }
    }

    /// A template that is yet to be built.
    pub(crate) fn of_build(record: &Record) -> Self {
        let resources = record.resources();
        Self {
            id: record.template.clone(),
            build: record.id,
            cpu_count: cpus(&resources),
            memory_mb: memory_mb(&resources),
            disk_mb: 0,
            public: false,
            aliases: vec![record.template.clone()],
            names: vec![record.template.clone()],
            created_at: record.created_at,
            updated_at: record.updated_at,
            created_by: None,
            last_spawned_at: None,
            spawn_count: 0,
            build_count: 0,
            envd_version: ENVD_VERSION,
            build_status: record.status,
        }
    }
}

/// `TemplateWithBuilds`.
#[derive(Debug, Serialize)]
pub(crate) struct WithBuilds {
    #[serde(flatten)]
    template: TemplateView,
    builds: Vec<BuildView>,
}

/// `TemplateBuild`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildView {
    #[serde(rename = "buildID")]
    id: Uuid,
    status: Status,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<Timestamp>,
    cpu_count: u64,
    #[serde(rename = "memoryMB")]
    memory_mb: u64,
    envd_version: &'static str,
}

impl BuildView {
    fn new(record: &Record) -> Self {
        let resources = record.resources();
        Self {
            id: record.id,
            status: record.status,
            created_at: record.created_at,
            updated_at: record.updated_at,
            finished_at: record.finished_at,
            cpu_count: cpus(&resources),
            memory_mb: memory_mb(&resources),
            envd_version: ENVD_VERSION,
        }
    }
}

fn view(group: &Group) -> Option<TemplateView> {
    group.tags.first().map(|newest| TemplateView::new(group, newest))
}

/// `GET /v2/templates`.
pub(crate) async fn paged<D: Door>(
    Caller(door): Caller<D>,
    params: Params,
) -> Result<Response, E2bError> {
    let page = Page::asked(&params)?;
    let groups = catalog::groups(&door).await?;
    let views = groups.iter().filter_map(view);
    let ordered = views.map(|view| (view.created_at, view.id.clone(), view)).collect();
    Ok(page.of(ordered).into_response())
}

/// `GET /templates`.
pub(crate) async fn all<D: Door>(
    Caller(door): Caller<D>,
) -> Result<Json<Vec<TemplateView>>, E2bError> {
    Ok(Json(catalog::groups(&door).await?.iter().filter_map(view).collect()))
}

/// `GET /default-templates`: there are none that somebody else keeps.
pub(crate) async fn defaults<D: Door>(Caller(_): Caller<D>) -> Json<[(); 0]> {
    Json([])
}

/// `GET /templates/{id}`: with what was built, the newest first.
pub(crate) async fn one<D: Door>(
    Caller(door): Caller<D>,
    State(e2b): State<E2b>,
    Path(id): Path<String>,
) -> Result<Json<WithBuilds>, E2bError> {
    let name = TemplateName::asked(&id)?;
    let records = e2b.inner.builds.of(&door.uploads(), &name.id).await?;
    let template = match catalog::group(&door, &name.id).await {
        Ok(group) => view(&group),
        Err(E2bError::NotFound(_)) => records.first().map(TemplateView::of_build),
        Err(error) => return Err(error),
    };
    let template = template.ok_or_else(|| E2bError::no_template(&name.id))?;
    Ok(Json(WithBuilds { template, builds: records.iter().map(BuildView::new).collect() }))
}

/// `TemplateUpdateResponse`.
#[derive(Debug, Serialize)]
pub(crate) struct Updated {
    names: [String; 1],
}

/// `PATCH /templates/{id}` of both versions. What it may say is whether other teams see the
/// template; there is one team here, so both answers are true.
pub(crate) async fn update<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
) -> Result<Json<Updated>, E2bError> {
    let name = TemplateName::asked(&id)?;
    Ok(Json(Updated { names: [catalog::group(&door, &name.id).await?.id] }))
}
