//! What must be before a service starts.

use serde_json::{Map, Value};

use super::service::Service;
use crate::error::{ComposeError, Result};

/// When another service is far enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// It was started.
    Started,
    /// Its health check says well.
    Healthy,
    /// It ended with 0.
    Completed,
}

/// One thing to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The other service.
    pub service: String,
    /// How far it must be.
    pub until: Until,
    /// Whether nothing goes without it.
    pub required: bool,
    /// Whether who waits is restarted when the other one was made anew.
    pub restart: bool,
}

impl Until {
    const fn word(self) -> &'static str {
        match self {
            Self::Started => "service_started",
            Self::Healthy => "service_healthy",
            Self::Completed => "service_completed_successfully",
        }
    }
}

pub(super) fn of(service: &Service<'_>, services: &Map<String, Value>) -> Result<Vec<Wait>> {
    let mut waits = Vec::new();
    let depends = service.get("depends_on").and_then(Value::as_object).into_iter().flatten();
    for (other, how) in depends {
        let required = how.get("required").and_then(Value::as_bool).unwrap_or(true);
        if !services.contains_key(other) {
            if required {
                let what =
                    format!("service {:?} depends on {other:?}, which is none", service.name);
                return Err(ComposeError::invalid(what));
            }
            continue;
        }
        let condition = how.get("condition").and_then(Value::as_str);
        let until = match condition.unwrap_or("service_started") {
            "service_started" => Until::Started,
            "service_healthy" => Until::Healthy,
            "service_completed_successfully" => Until::Completed,
            _ => return Err(service.refuse("depends_on.condition", "only Compose knows this one")),
        };
        let restart = how.get("restart").and_then(Value::as_bool).unwrap_or(false);
        waits.push(Wait { service: other.clone(), until, required, restart });
    }
    for other in service.inside() {
        if !waits.iter().any(|wait| wait.service == other) {
            let until = Until::Started;
            waits.push(Wait { service: other, until, required: true, restart: false });
        }
    }
    Ok(waits)
}

/// As Compose writes it on containers, for those who stop them in order.
pub(super) fn label(waits: &[Wait]) -> String {
    let one = |wait: &Wait| format!("{}:{}:{}", wait.service, wait.until.word(), wait.restart);
    waits.iter().map(one).collect::<Vec<_>>().join(",")
}
