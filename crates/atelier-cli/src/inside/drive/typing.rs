//! Standard input on its way to a command.

use std::time::Duration;

use atelier_client::guest::client::{Guest, GuestError};
use tokio::time::{Instant, sleep};

use crate::failure::Failure;
use crate::run::Input;

/// How long it is looked for whether the command still runs, when the connection was lost.
const PATIENCE: Duration = Duration::from_secs(15);

/// Passes all of it on, each piece when the command has taken the one before. A command that reads
/// no more is no failure: it will say so by its end.
pub(super) async fn pass_on(
    guest: &Guest,
    pid: u32,
    terminal: bool,
    mut input: Input,
) -> Result<(), Failure> {
    input.begin();
    while let Some(piece) = input.next().await {
        match guest.send_input(pid, piece, terminal).await {
            Ok(()) => {}
            // What is typed while there is no connection is lost, as the echo shows.
            Err(error) if terminal && error.is_connection() => {}
            Err(error) if error.is_connection() => return lost(guest, pid, error).await,
            Err(_) => return Ok(()),
        }
    }
    if !terminal {
        // A command that ended meanwhile needs no end of its input.
        let _ = guest.close_stdin(pid).await;
    }
    Ok(())
}

/// It cannot be known whether the last piece arrived: a failure, unless the command has ended.
async fn lost(guest: &Guest, pid: u32, error: GuestError) -> Result<(), Failure> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        match guest.list(false).await {
            Ok(running) if running.iter().all(|process| process.pid != pid) => return Ok(()),
            Ok(_) => break,
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
    let mut problem = error.into_problem();
    problem.detail = format!(
        "the connection was lost while standard input was passed on, so it is not known how much \
         of it arrived: {}",
        problem.detail
    );
    Err(problem.hint(format!("the command, process {pid} of the sandbox, runs on")).into())
}
