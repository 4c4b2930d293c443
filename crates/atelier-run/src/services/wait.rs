//! Waiting until services run and are healthy, and saying which one doesn't.

use std::time::Duration;

use atelier_api::{ExitCode, Problem};
use atelier_engine::{Container, Engine, EngineError, Happening, Health, State};
use futures_util::{Stream, StreamExt};
use tokio::time::Instant;

use super::record::ServicesRecord;

/// How often the engine is asked though it told of nothing. Each look is a call for each container.
const PAUSE: Duration = Duration::from_millis(500);
/// Lines of a service's log that an error repeats.
const LINES: u32 = 15;

/// What a service lacks until it can be used.
#[derive(Debug, PartialEq, Eq)]
enum Lack {
    Nothing,
    Time(&'static str),
    Hope(String),
}

fn lack(container: &Container) -> Lack {
    match (container.state, container.health) {
        (State::Running, None | Some(Health::Healthy)) | (State::Paused, _) => Lack::Nothing,
        (State::Running, Some(Health::Starting)) => Lack::Time("is not healthy yet"),
        (State::Running, Some(Health::Unhealthy)) => Lack::Time("is not healthy"),
        (State::Exited, _) if container.exit_code == Some(0) => Lack::Nothing,
        (State::Exited, _) => {
            let code = container.exit_code.unwrap_or_default();
            Lack::Hope(format!("ended with code {code}"))
        }
        (State::Created, _) => Lack::Time("was not started"),
        (State::Restarting, _) => Lack::Time("ends and is started again"),
        (State::Dead, _) => Lack::Hope("is gone".into()),
    }
}

/// Waits until every container is well.
pub(crate) async fn well(
    engine: &Engine,
    label: &str,
    services: &ServicesRecord,
    limit: Duration,
) -> Result<Vec<Container>, Problem> {
    let end = Instant::now() + limit;
    let mut events = std::pin::pin!(engine.events(label).fuse());
    loop {
        let containers = engine.examine(&[label.to_owned()]).await?;
        let mut waiting = None;
        for container in containers.iter().filter(|c| planned(services, c)) {
            match lack(container) {
                Lack::Nothing => {}
                Lack::Time(why) => waiting = waiting.or(Some((container, why.to_owned()))),
                Lack::Hope(why) => return Err(unwell(engine, container, &why).await),
            }
        }
        match waiting {
            None => return Ok(containers),
            Some((container, why)) if Instant::now() > end => {
                let why = format!("{why} after {} s", limit.as_secs());
                return Err(unwell(engine, container, &why).await);
            }
            // Whatever happened, and also if nothing did.
            Some(_) => drop(tokio::time::timeout(PAUSE, telling(&mut events)).await),
        }
    }
}

/// Returns when the engine tells that something of them changed.
async fn telling(events: &mut (impl Stream<Item = Result<Happening, EngineError>> + Unpin)) {
    while let Some(event) = events.next().await {
        if event.is_ok_and(|event| !event.action.starts_with("exec_")) {
            return;
        }
    }
    // The engine tells nothing more: it is asked.
    std::future::pending::<()>().await;
}

fn planned(services: &ServicesRecord, container: &Container) -> bool {
    services.services.iter().any(|plan| plan.name == container.service)
}

/// What to say when bringing up took too long: who is not well yet.
pub(super) async fn late(engine: &Engine, label: &str, limit: Duration) -> Problem {
    let after = limit.as_secs();
    let containers = engine.examine(&[label.to_owned()]).await.unwrap_or_default();
    for container in &containers {
        if let Lack::Time(why) = lack(container)
            && container.state != State::Created
        {
            return unwell(engine, container, &format!("{why} after {after} s")).await;
        }
    }
    let detail = format!("the services were not started within {after} s");
    Problem::new("env.service_failed", ExitCode::Engine, detail)
        .hint("give them longer: --timeout SECONDS; bringing and building images counts too")
}

/// Which containers are not well, for a Compose that only says that it failed.
pub(crate) async fn blame(engine: &Engine, label: &str) -> Option<Problem> {
    let containers = engine.examine(&[label.to_owned()]).await.ok()?;
    for container in &containers {
        let why = match (container.state, container.health) {
            (State::Running, Some(Health::Unhealthy)) => "is not healthy".to_owned(),
            (State::Exited, _) if container.exit_code != Some(0) => {
                format!("ended with code {}", container.exit_code.unwrap_or_default())
            }
            _ => continue,
        };
        return Some(unwell(engine, container, &why).await);
    }
    None
}

pub(super) async fn unwell(engine: &Engine, container: &Container, why: &str) -> Problem {
    let service = &container.service;
    let said = engine.last_words(&container.id, LINES).await;
    let said = match said.trim_end() {
        "" => "it said nothing".to_owned(),
        said => format!("its last lines:\n{said}"),
    };
    let detail = format!("the service {service} {why}; {said}");
    Problem::new("env.service_failed", ExitCode::Engine, detail)
        .hint(format!("mend the service {service} and try again, or go on without: --no-up"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(state: State, health: Option<Health>, exit_code: Option<i64>) -> Container {
        Container {
            id: "1".into(),
            name: "a".into(),
            service: "a".into(),
            state,
            health,
            exit_code,
            addresses: Vec::new(),
            published: Vec::new(),
            image: String::new(),
            image_id: String::new(),
            networks: std::collections::HashMap::new(),
            labels: std::collections::HashMap::new(),
        }
    }

    #[test]
    fn a_service_that_does_one_thing_and_ends_well_is_well() {
        assert_eq!(lack(&container(State::Exited, None, Some(0))), Lack::Nothing);
        assert!(matches!(lack(&container(State::Exited, None, Some(3))), Lack::Hope(_)));
    }

    #[test]
    fn one_with_a_health_check_is_waited_for() {
        let running = |health| lack(&container(State::Running, Some(health), None));
        assert!(matches!(running(Health::Starting), Lack::Time(_)));
        assert_eq!(running(Health::Healthy), Lack::Nothing);
    }
}
