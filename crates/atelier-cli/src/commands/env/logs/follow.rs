//! `atelier env logs --follow`: output as it comes.

use std::collections::HashMap;

use atelier_api::session::{RunAttach, ServiceFollow, ToClient, ToServer};
use atelier_client::{Message, Session};

use super::{LogsArgs, labelled};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::print;
use crate::run::{Manner, Signals, Task, drive};

/// Shows what a command writes until it ends, or until the user has seen enough.
pub(super) fn command(args: &LogsArgs, pid: u32, context: &Context<'_>) -> Result<u8, Failure> {
    let reference = args.env.reference(context)?;
    let attach = RunAttach {
        env: reference.env,
        project: reference.project,
        pid: Some(pid),
        offset: Some(0),
        leave: true,
    };
    let task = Task::watch(attach, context.on.clone());
    let manner = Manner { progress: false, quiet: true, verbose: false };
    let plane = context.control_plane()?;
    context.wait(drive(&plane, task, manner))?;
    Ok(0)
}

/// Shows what services write until they are down, or until the user has seen enough.
pub(super) fn services(args: &LogsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let reference = args.env.reference(context)?;
    let first = ToServer::Logs(ServiceFollow {
        env: reference.env,
        project: reference.project,
        services: args.service.clone(),
        tail: args.last,
    });
    let plane = context.control_plane()?;
    context.wait(async {
        let mut signals = Signals::catch(false)?;
        let session = plane.session(&first).await?;
        let shown = async {
            let mut session = session;
            // A control plane that is replaced by another goes on with what is new.
            while show(session).await? {
                let ToServer::Logs(wanted) = &first else { break };
                let wanted = ServiceFollow { tail: Some(0), ..wanted.clone() };
                session = plane.session(&ToServer::Logs(wanted)).await?;
            }
            Ok(0)
        };
        tokio::select! {
            shown = shown => shown,
            _ = signals.next_ending() => Ok(0),
        }
    })
}

/// Shows what comes over one connection. `true` when the control plane is going away.
async fn show(session: Session) -> Result<bool, Failure> {
    let (_sender, mut receiver) = session.split();
    let mut lines = Lines::default();
    while let Some(message) = receiver.next().await? {
        match message {
            Message::Output { bytes, .. } => lines.add(&bytes)?,
            Message::Control(ToClient::Source { service, container }) => {
                lines.now = (service, container);
            }
            Message::Control(ToClient::Problem { problem }) => return Err(problem.into()),
            Message::Control(ToClient::GoingAway {}) => return Ok(true),
            Message::Control(_) => {}
        }
    }
    lines.finish()?;
    Ok(false)
}

/// Puts pieces of output together to whole lines, container by container.
#[derive(Default)]
struct Lines {
    /// The service and container that write.
    now: (String, String),
    begun: HashMap<(String, String), Vec<u8>>,
}

impl Lines {
    fn add(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let begun = self.begun.entry(self.now.clone()).or_default();
        begun.extend_from_slice(bytes);
        let Some(end) = begun.iter().rposition(|byte| *byte == b'\n') else { return Ok(()) };
        let whole: Vec<u8> = begun.drain(..=end).collect();
        for line in whole.split_inclusive(|byte| *byte == b'\n') {
            print(labelled(&self.now.0, line))?;
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Failure> {
        for ((service, _), line) in self.begun.iter().filter(|(_, line)| !line.is_empty()) {
            print(labelled(service, line))?;
        }
        Ok(())
    }
}
