//! What a build is asked to do: E2B's request, and the plan that it becomes.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::words::base_of_pattern;
use crate::{E2bError, uploads};

/// The most steps of a build.
const MOST: usize = 1000;

/// `TemplateBuildStartV2`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Request {
    from_image: Option<String>,
    from_template: Option<String>,
    from_image_registry: Option<Value>,
    force: bool,
    steps: Vec<StepRequest>,
    start_cmd: Option<String>,
    ready_cmd: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StepRequest {
    #[serde(rename = "type")]
    kind: String,
    args: Vec<String>,
    files_hash: Option<String>,
    force: Option<bool>,
}

/// What a build does.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) from: From,
    pub(super) force: bool,
    pub(super) steps: Vec<Step>,
    pub(super) start: Option<String>,
    pub(super) ready: Option<String>,
}

/// What it starts from.
#[derive(Debug)]
pub(super) enum From {
    Image(String),
    Template(String),
}

/// One step.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) action: Action,
    /// As the log and the cache know it.
    pub(super) text: String,
    /// The hash of its files, if it has some.
    pub(super) files: Option<String>,
    pub(super) force: bool,
}

/// What a step does.
#[derive(Debug)]
pub(super) enum Action {
    Run { command: String, user: Option<String> },
    Copy(Copy),
    Env(Vec<(String, String)>),
    Workdir(String),
    User { name: String, sudo: bool },
}

/// Files that are put into the sandbox.
#[derive(Debug)]
pub(super) struct Copy {
    /// The uploaded archive.
    pub(super) archive: PathBuf,
    pub(super) hash: String,
    /// Where in the archive, without a pattern.
    pub(super) from: String,
    pub(super) to: String,
    pub(super) owner: Option<String>,
    pub(super) mode: Option<String>,
}

impl Request {
    /// The plan, if all of it can be done.
    pub(super) fn plan(self, uploads: &Path) -> Result<Plan, E2bError> {
        if self.from_image_registry.is_some() {
            let why = "fromImageRegistry is not supported by this server: it takes credentials \
                       of registries from its own ~/.docker/config.json";
            return Err(E2bError::Invalid(why.to_owned()));
        }
        let text = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let from = match (text(self.from_image), text(self.from_template)) {
            (Some(image), None) => From::Image(image.trim().to_owned()),
            (None, Some(template)) => From::Template(template.trim().to_owned()),
            _ => {
                let why = "Either fromImage or fromTemplate is required, and not both";
                return Err(E2bError::Invalid(why.to_owned()));
            }
        };
        if self.steps.len() > MOST {
            return Err(E2bError::Invalid(format!("a template has at most {MOST} steps")));
        }
        let steps: Result<_, _> = self.steps.into_iter().map(|step| step.step(uploads)).collect();
        Ok(Plan {
            from,
            force: self.force,
            steps: steps?,
            start: text(self.start_cmd),
            ready: text(self.ready_cmd),
        })
    }
}

impl StepRequest {
    fn step(self, uploads: &Path) -> Result<Step, E2bError> {
        let kind = self.kind.to_uppercase();
        let text = format!("{kind} {}", self.args.join(" "));
        let action = self.action(&kind, uploads)?;
        let force = self.force.unwrap_or(false);
        Ok(Step { action, text, files: self.files_hash, force })
    }

    fn action(&self, kind: &str, uploads: &Path) -> Result<Action, E2bError> {
        let arg = |at: usize| self.args.get(at).filter(|arg| !arg.is_empty()).cloned();
        let need = |what: &str| E2bError::Invalid(format!("{kind} requires {what}"));
        Ok(match kind {
            "RUN" => {
                Action::Run { command: arg(0).ok_or_else(|| need("a command"))?, user: arg(1) }
            }
            "COPY" | "ADD" => Action::Copy(self.copy(kind, uploads)?),
            "ENV" => {
                if self.args.is_empty() || !self.args.len().is_multiple_of(2) {
                    return Err(need("pairs of a key and a value"));
                }
                let pairs = self.args.chunks_exact(2);
                Action::Env(pairs.map(|pair| (pair[0].clone(), pair[1].clone())).collect())
            }
            "WORKDIR" => Action::Workdir(arg(0).ok_or_else(|| need("a path"))?),
            "USER" => Action::User {
                name: arg(0).ok_or_else(|| need("a user name"))?,
                sudo: arg(1).as_deref() == Some("true"),
            },
            _ => return Err(E2bError::Invalid(format!("unknown step type '{}'", self.kind))),
        })
    }

    fn copy(&self, kind: &str, uploads: &Path) -> Result<Copy, E2bError> {
        let arg = |at: usize| self.args.get(at).filter(|arg| !arg.is_empty()).cloned();
        let need = |what: &str| E2bError::Invalid(format!("{kind} requires {what}"));
        let hash = self.files_hash.clone().ok_or_else(|| need("filesHash"))?;
        let archive = uploads::file(uploads, &hash).ok_or_else(|| need("a valid filesHash"))?;
        let from = arg(0).ok_or_else(|| need("a local path"))?;
        let from = base_of_pattern(&from).ok_or_else(|| need("a path within its context"))?;
        // A user alone is meant as its group as well.
        let owner = arg(2).map(|owner| match owner.contains(':') {
            true => owner,
            false => format!("{owner}:{owner}"),
        });
        let to = arg(1).ok_or_else(|| need("a path in the template"))?;
        Ok(Copy { archive, hash, from, to, owner, mode: arg(3) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> Result<Plan, E2bError> {
        serde_json::from_str::<Request>(json).unwrap().plan(Path::new("/up"))
    }

    #[test]
    fn steps_are_known_before_anything_is_built() {
        let hash = "0".repeat(64);
        let plan = plan(&format!(
            r#"{{"fromImage":"debian","steps":[
                {{"type":"COPY","args":["folder/*","dst","bob"],"filesHash":"{hash}"}},
                {{"type":"ENV","args":["A","1","B","$A"]}},
                {{"type":"USER","args":["bob","true"],"force":true}}]}}"#
        ))
        .unwrap();
        let Action::Copy(copy) = &plan.steps[0].action else { panic!() };
        assert_eq!((copy.from.as_str(), copy.owner.as_deref()), ("folder", Some("bob:bob")));
        assert!(matches!(&plan.steps[1].action, Action::Env(pairs) if pairs.len() == 2));
        assert!(plan.steps[2].force && !plan.steps[1].force);
    }

    #[test]
    fn what_cannot_be_built_is_refused_at_once() {
        for bad in [
            r"{}",
            r#"{"fromImage":"a","fromTemplate":"b"}"#,
            r#"{"fromImage":"a","fromImageRegistry":{"type":"registry"}}"#,
            r#"{"fromImage":"a","steps":[{"type":"RUN"}]}"#,
            r#"{"fromImage":"a","steps":[{"type":"ENV","args":["A"]}]}"#,
            r#"{"fromImage":"a","steps":[{"type":"COPY","args":["a","b"]}]}"#,
            r#"{"fromImage":"a","steps":[{"type":"COPY","args":["a","b"],"filesHash":"../x"}]}"#,
            r#"{"fromImage":"a","steps":[{"type":"VOLUME","args":["/x"]}]}"#,
        ] {
            assert!(plan(bad).is_err(), "{bad}");
        }
    }
}
