//! Asking for a build: `POST /v3/templates`, and `POST /v2/templates` as older clients have it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::list::TemplateView;
use super::names::{DEFAULT_TAG, TemplateName, valid_tags};
use crate::builds::Record;
use crate::request::{Body, Caller};
use crate::{Door, E2b, E2bError};

/// `TemplateBuildRequest` of both versions.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Request {
    name: Option<String>,
    alias: Option<String>,
    tags: Option<Vec<String>>,
    cpu_count: Option<u32>,
    #[serde(rename = "memoryMB")]
    memory_mb: Option<u64>,
}

/// `TemplateRequestResponseV3`.
#[derive(Debug, Serialize)]
pub(crate) struct Requested {
    #[serde(rename = "templateID")]
    template: String,
    #[serde(rename = "buildID")]
    build: Uuid,
    public: bool,
    names: Vec<String>,
    aliases: Vec<String>,
    tags: Vec<String>,
}

/// `POST /v3/templates`.
pub(crate) async fn v3<D: Door>(
    Caller(door): Caller<D>,
    State(e2b): State<E2b>,
    Body(request): Body<Request>,
) -> Result<(StatusCode, Json<Requested>), E2bError> {
    let record = register(&door, &e2b, request).await?;
    let requested = Requested {
        build: record.id,
        public: false,
        names: vec![record.template.clone()],
        aliases: vec![record.template.clone()],
        template: record.template,
        tags: record.tags,
    };
    Ok((StatusCode::ACCEPTED, Json(requested)))
}

/// `POST /v2/templates`.
pub(crate) async fn v2<D: Door>(
    Caller(door): Caller<D>,
    State(e2b): State<E2b>,
    Body(request): Body<Request>,
) -> Result<(StatusCode, Json<TemplateView>), E2bError> {
    let record = register(&door, &e2b, request).await?;
    Ok((StatusCode::ACCEPTED, Json(TemplateView::of_build(&record))))
}

async fn register<D: Door>(door: &D, e2b: &E2b, request: Request) -> Result<Record, E2bError> {
    let named = request.name.or(request.alias).filter(|name| !name.is_empty());
    let named = named.ok_or_else(|| E2bError::Invalid("Name is required".to_owned()))?;
    let has_tag = named.contains(':');
    let name = TemplateName::asked(&named)?;
    let mut tags = if has_tag { vec![name.tag().to_owned()] } else { Vec::new() };
    tags.extend(request.tags.unwrap_or_default());
    let mut tags = valid_tags(&tags)?;
    if tags.is_empty() {
        tags.push(DEFAULT_TAG.to_owned());
    }
    let wrong = |what: &str| E2bError::Invalid(format!("{what} is too small"));
    if request.cpu_count == Some(0) {
        return Err(wrong("cpuCount"));
    }
    if request.memory_mb.is_some_and(|mb| mb < 128) {
        return Err(wrong("memoryMB"));
    }
    let record = Record::new(name.id, tags, request.cpu_count, request.memory_mb);
    e2b.inner.builds.register(&door.uploads(), record.clone()).await?;
    Ok(record)
}
