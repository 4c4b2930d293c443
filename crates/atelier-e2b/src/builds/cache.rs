//! Points of a build that are kept for later builds: templates of ours whose names say what led to
//! them.

use atelier_api::image::{
    Template, TemplateCommit, TemplateCommitInput, TemplateList, TemplateRef, TemplateRemove,
    TemplateSpec,
};
use atelier_api::system::Nothing;
use sha2::{Digest, Sha256};

use super::base::Base;
use super::order::Plan;
use super::shell::Context;
use crate::{Door, E2bError};

/// What the names of kept points begin with.
const PREFIX: &str = "e2b-cache-";
/// Another one when what a step does changes, so that older points are not taken.
const VERSION: &str = "1";

/// Whether a template is a kept point, which is shown to nobody.
pub(crate) fn is_kept_point(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// The names of the points of a plan: the first before any step, then one after each.
pub(super) fn points(base: &Base, plan: &Plan) -> Vec<String> {
    let mut hash = digest(&[VERSION, &base.key]);
    let mut names = vec![format!("{PREFIX}{hash}")];
    for step in &plan.steps {
        hash = digest(&[&hash, &step.text, step.files.as_deref().unwrap_or_default()]);
        names.push(format!("{PREFIX}{hash}"));
    }
    names
}

/// 128 bits are enough for a name.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The farthest kept point of a plan that may be used: none behind a step that is to be done anew.
pub(super) async fn farthest<D: Door>(
    door: &D,
    plan: &Plan,
    points: &[String],
) -> Result<Option<(usize, Template)>, E2bError> {
    if plan.force {
        return Ok(None);
    }
    let forced = plan.steps.iter().position(|step| step.force).unwrap_or(plan.steps.len());
    let mut templates = door.call::<TemplateList>(Nothing {}).await?;
    let kept = |point: &String| templates.iter().position(|template| template.name == *point);
    let usable = points.iter().enumerate().take(forced + 1).rev();
    let found = usable.filter_map(|(done, point)| kept(point).map(|at| (done, at))).next();
    Ok(found.map(|(done, at)| (done, templates.swap_remove(at))))
}

/// Keeps a point.
pub(super) async fn keep<D: Door>(
    door: &D,
    point: &str,
    sandbox: &str,
    base: &Base,
    context: &Context,
) -> Result<(), E2bError> {
    let spec = TemplateSpec {
        image: base.name.clone(),
        variables: context.variables.clone(),
        user: Some(context.user.clone()),
        workdir: context.workdir.clone(),
        ..TemplateSpec::default()
    };
    let input = TemplateCommitInput { name: point.to_owned(), sandbox: sandbox.to_owned(), spec };
    door.call::<TemplateCommit>(input).await?;
    Ok(())
}

/// Removes kept points beyond a number, the oldest first.
pub(super) async fn prune<D: Door>(door: &D, most: usize) -> Result<(), E2bError> {
    let mut points = door.call::<TemplateList>(Nothing {}).await?;
    points.retain(|template| is_kept_point(&template.name));
    points.sort_by_key(|template| std::cmp::Reverse(template.built_at));
    for point in points.into_iter().skip(most) {
        door.call::<TemplateRemove>(TemplateRef { template: point.name }).await?;
    }
    Ok(())
}
