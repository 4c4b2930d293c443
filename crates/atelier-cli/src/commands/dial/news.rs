//! What services are up on this machine, a line of JSON whenever that changed.

use std::io::Read;

use atelier_api::env::{EnvList, EnvListInput, EnvRef};
use atelier_api::far::{FarEnvironment, FarNews};
use atelier_api::service::{EnvStatus, ServiceState};
use atelier_client::ControlPlane;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::print;

/// Events after which something else may be up.
const TELLING: [&str; 5] = ["env.up", "env.down", "env.removed", "env.stopped", "service.changed"];

/// Writes until nobody reads, or standard input ends: whoever asked is gone then.
pub(super) fn run(context: &Context<'_>) -> Result<u8, Failure> {
    std::thread::spawn(|| {
        let mut rest = [0; 64];
        while std::io::stdin().read(&mut rest).is_ok_and(|n| n > 0) {}
        std::process::exit(0);
    });
    let plane = context.control_plane()?;
    context.wait(async {
        // From before the first look, so that no change is missed.
        let mut events = plane.events().await?;
        let mut last = String::new();
        loop {
            let news = look(&plane).await?;
            let mut line = serde_json::to_string(&news).map_err(std::io::Error::other)?;
            line.push('\n');
            if line != last {
                print(&line)?;
                last = line;
            }
            loop {
                match events.next().await? {
                    None => return Ok(0),
                    Some(event) if TELLING.contains(&event.kind.as_str()) => break,
                    Some(_) => {}
                }
            }
        }
    })
}

async fn look(plane: &ControlPlane<'_>) -> Result<FarNews, Failure> {
    let mut news = FarNews::default();
    for env in plane.call::<EnvList>(&EnvListInput { project: None }).await? {
        let reference = EnvRef { env: env.name, project: env.root.clone() };
        // One that is being removed, or whose project has no services: nothing is up there.
        let Ok(mut services) = plane.call::<EnvStatus>(&reference).await else { continue };
        services.services.retain(|service| service.state != ServiceState::Down);
        if !services.services.is_empty() {
            news.environments.push(FarEnvironment { root: env.root, services });
        }
    }
    Ok(news)
}
