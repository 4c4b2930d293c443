//! Tags of templates: giving, taking, listing. A tag of E2B is a template of ours with the same
//! files.

use atelier_api::image::{
    Template, TemplateBuild, TemplateBuildInput, TemplateRef, TemplateRemove, TemplateSpec,
};
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::catalog::{self, build_id};
use super::names::{DEFAULT_TAG, TemplateName, valid_tag, valid_tags};
use crate::request::{Body, Caller, Params};
use crate::{Door, E2bError};

/// `AssignTemplateTagsRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Assign {
    target: String,
    tags: Vec<String>,
}

/// `AssignedTemplateTags`.
#[derive(Debug, Serialize)]
pub(crate) struct Assigned {
    tags: Vec<String>,
    #[serde(rename = "buildID")]
    build: Uuid,
}

/// `POST /templates/tags`.
pub(crate) async fn assign<D: Door>(
    Caller(door): Caller<D>,
    Body(request): Body<Assign>,
) -> Result<(StatusCode, Json<Assigned>), E2bError> {
    let tags = valid_tags(&request.tags)?;
    if tags.is_empty() {
        return Err(E2bError::Invalid("At least one tag is required".to_owned()));
    }
    let target = TemplateName::asked(&request.target)?;
    let template = catalog::tagged(&door, &target).await?;
    for tag in &tags {
        let name = target.tagged(tag).ours();
        if name != template.name {
            door.call::<TemplateBuild>(again(&template, name)).await?;
        }
    }
    Ok((StatusCode::CREATED, Json(Assigned { build: build_id(&template), tags })))
}

/// A template of the same files under another name: built from the image that was made, with
/// nothing left to set up.
fn again(template: &Template, name: String) -> TemplateBuildInput {
    let spec = TemplateSpec {
        image: template.image.clone(),
        repository: None,
        reference: None,
        setup: Vec::new(),
        ..template.spec.clone()
    };
    TemplateBuildInput { name, spec, force: false, runtime: None }
}

/// `DeleteTemplateTagsRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Remove {
    name: String,
    tags: Vec<String>,
}

/// `DELETE /templates/tags`.
pub(crate) async fn remove<D: Door>(
    Caller(door): Caller<D>,
    Body(request): Body<Remove>,
) -> Result<StatusCode, E2bError> {
    let tags = valid_tags(&request.tags)?;
    if tags.is_empty() {
        return Err(E2bError::Invalid("At least one tag is required".to_owned()));
    }
    if tags.iter().any(|tag| tag == DEFAULT_TAG) {
        return Err(E2bError::Invalid(format!("Cannot delete the '{DEFAULT_TAG}' tag")));
    }
    if request.name.contains(':') {
        let why = "Template name should not contain a tag, use the 'tags' field instead";
        return Err(E2bError::Invalid(why.to_owned()));
    }
    let name = TemplateName::asked(&request.name)?;
    let group = catalog::group(&door, &name.id).await?;
    for tag in tags {
        let template = name.tagged(&tag).ours();
        if group.tags.iter().any(|own| own.name == template) {
            door.call::<TemplateRemove>(TemplateRef { template }).await?;
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `TemplateTag`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TagView {
    tag: String,
    #[serde(rename = "buildID")]
    build: Uuid,
    created_at: Timestamp,
}

async fn tags<D: Door>(door: &D, id: &str) -> Result<Vec<(String, Template)>, E2bError> {
    let group = catalog::group(door, &TemplateName::asked(id)?.id).await?;
    let tag = |template: &Template| TemplateName::of_ours(&template.name).tag().to_owned();
    Ok(group.tags.into_iter().map(|template| (tag(&template), template)).collect())
}

/// `GET /templates/{id}/tags`.
pub(crate) async fn list<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
) -> Result<Json<Vec<TagView>>, E2bError> {
    let view = |(tag, template): (String, Template)| TagView {
        tag,
        build: build_id(&template),
        created_at: template.built_at,
    };
    Ok(Json(tags(&door, &id).await?.into_iter().map(view).collect()))
}

/// `TemplateTagsCountResponse`.
#[derive(Debug, Serialize)]
pub(crate) struct Count {
    total: usize,
}

/// `GET /templates/{id}/tags/count`.
pub(crate) async fn count<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
) -> Result<Json<Count>, E2bError> {
    Ok(Json(Count { total: tags(&door, &id).await?.len() }))
}

/// `TemplateTagExistsResponse`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exists {
    exists: bool,
    normalized_tag: String,
}

/// `GET /templates/{id}/tags/exists?tag=…`.
pub(crate) async fn exists<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Exists>, E2bError> {
    let tag = valid_tag(params.get("tag").unwrap_or_default())?;
    let exists = tags(&door, &id).await?.iter().any(|(own, _)| *own == tag);
    Ok(Json(Exists { exists, normalized_tag: tag }))
}

/// `TemplateTagAssignment`: a tag has one, the last.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Assignment {
    assignment_id: Uuid,
    #[serde(rename = "buildId")]
    build: Uuid,
    assigned_at: Timestamp,
    build_created_at: Timestamp,
    build_finished_at: Option<Timestamp>,
}

impl Assignment {
    fn new(template: &Template) -> Self {
        Self {
            assignment_id: build_id(template),
            build: build_id(template),
            assigned_at: template.built_at,
            build_created_at: template.built_at,
            build_finished_at: Some(template.built_at),
        }
    }
}

/// `TemplateTagAssignmentsResponse`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Assignments {
    data: Vec<Assignment>,
    next_cursor: Option<String>,
}

/// `GET /templates/{id}/tags/{tag}/assignments`.
pub(crate) async fn assignments<D: Door>(
    Caller(door): Caller<D>,
    Path((id, tag)): Path<(String, String)>,
) -> Result<Json<Assignments>, E2bError> {
    let tag = valid_tag(&tag)?;
    let own = tags(&door, &id).await?;
    let data = own.iter().filter(|(own, _)| *own == tag).map(|(_, t)| Assignment::new(t)).collect();
    Ok(Json(Assignments { data, next_cursor: None }))
}

/// `TemplateTagGroupsResponse`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Groups {
    tags: Vec<TagGroup>,
    next_cursor: Option<String>,
}

/// `TemplateTagGroup`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TagGroup {
    tag: String,
    assignments: [Assignment; 1],
    has_more: bool,
}

/// `GET /templates/{id}/tags/groups?search=…`, in one page.
pub(crate) async fn groups<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Groups>, E2bError> {
    let search = params.get("search").unwrap_or_default();
    let own = tags(&door, &id).await?.into_iter().filter(|(tag, _)| tag.contains(search));
    let tags = own
        .map(|(tag, template)| TagGroup {
            tag,
            assignments: [Assignment::new(&template)],
            has_more: false,
        })
        .collect();
    Ok(Json(Groups { tags, next_cursor: None }))
}
