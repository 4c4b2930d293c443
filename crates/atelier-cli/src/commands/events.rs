//! `atelier events`: what happens, as it happens.

use crate::context::Context;
use crate::failure::Failure;
use crate::output::print;

/// Follows the events until the control plane stops or nobody reads.
pub(crate) fn run(context: &Context<'_>) -> Result<u8, Failure> {
    let plane = context.control_plane()?;
    context.wait(async {
        let mut events = plane.events().await?;
        while let Some(event) = events.next().await? {
            let mut line = serde_json::to_string(&event).map_err(std::io::Error::other)?;
            line.push('\n');
            print(line)?;
        }
        Ok(0)
    })
}
