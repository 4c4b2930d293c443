//! What this machine has for services: an engine that answers, and Compose.

use std::sync::Arc;

use atelier_api::system::{Check, Verdict};
use atelier_compose::Loader;

use crate::workshop::Workshop;

/// What stands in Compose's place.
const WITHOUT: &str = "built in, for what most projects have; for the rest install Docker Compose \
     (docker-compose-v2 or docker-compose-plugin)";

impl Workshop {
    /// Neither is needed for environments without services, so what is missing is a warning.
    pub(crate) async fn probe_services(self: &Arc<Self>) -> Vec<Check> {
        let engine = match self.driver.engine().await {
            Ok(engine) if engine.answers().await => Ok(self.driver.describe(&engine)),
            Ok(engine) => {
                self.driver.lose_engine().await;
                Err((format!("{} does not answer any more", engine.address()), Vec::new()))
            }
            Err(problem) => Err((problem.detail, problem.hints)),
        };
        let compose = match self.driver.loader().await.as_deref() {
            Ok(Loader::Tool(tool)) => Ok(format!("Docker Compose {}", tool.version)),
            Ok(Loader::Native) => Ok(WITHOUT.to_owned()),
            Err(problem) => Err((problem.detail.clone(), problem.hints.clone())),
        };
        vec![check("container engine", engine), check("compose", compose)]
    }
}

fn check(name: &str, found: Result<String, (String, Vec<String>)>) -> Check {
    let (verdict, detail, remedy) = match found {
        Ok(detail) => (Verdict::Ok, detail, None),
        Err((why, hints)) => {
            let detail = format!("services can't be started: {why}");
            (Verdict::Warning, detail, hints.into_iter().next())
        }
    };
    Check { name: name.into(), verdict, detail, remedy, fixable: false }
}
