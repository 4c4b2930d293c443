//! The one door of every operation: authorise, begin the audit, open a span, call, end the audit.

use std::future::Future;
use std::time::Instant;

use atelier_api::{Effect, ExitCode, Operation, Problem};
use atelier_auth::{Caller, Entry};
use tracing::Instrument;

use crate::app::App;

/// Makes the call, if the caller may.
///
/// # Errors
/// The operation's own problem; `auth.denied`; `audit.unavailable` when the beginning of a change
/// can't be written down, and then the change does not happen.
pub(crate) async fn dispatch<O, F>(
    app: &App,
    caller: &Caller,
    input: O::Input,
    serve: impl FnOnce(O::Input) -> F,
) -> Result<O::Output, Problem>
where
    O: Operation,
    F: Future<Output = Result<O::Output, Problem>>,
{
    caller.authorise(O::NAME, O::EFFECT, app.owner)?;
    let subject = O::subject(&input);
    let span = tracing::info_span!("call", op = O::NAME, subject, %caller);
    let begun = Instant::now();
    let call = serve(input).instrument(span);
    let result = match O::EFFECT {
        Effect::Read => call.await,
        _ => audited(app, caller, O::NAME, &subject, call).await,
    };
    app.calls.count(O::NAME, begun.elapsed(), result.as_ref().err());
    result
}

/// The same for a change that is no operation: a session.
pub(crate) async fn audited<T>(
    app: &App,
    caller: &Caller,
    action: &str,
    subject: &str,
    change: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let entry = begin(app, caller, action, subject).await?;
    let result = change.await;
    end(entry, caller, action, subject, result.as_ref().err()).await;
    result
}

async fn begin(app: &App, caller: &Caller, action: &str, subject: &str) -> Result<Entry, Problem> {
    app.audit.begin(caller, action, subject).await.map_err(|error| {
        Problem::new(
            "audit.unavailable",
            ExitCode::Failed,
            format!("{action} can't be audited, so it was not begun: {error}"),
        )
        .hint("check that ATELIER_HOME is writable and that its disk is not full")
    })
}

async fn end(entry: Entry, caller: &Caller, action: &str, subject: &str, wrong: Option<&Problem>) {
    match wrong {
        None => {
            tracing::info!(action, subject, %caller, "done");
            entry.end("ok").await;
        }
        Some(problem) => {
            tracing::warn!(action, subject, %caller, code = problem.code, detail = problem.detail, "failed");
            entry.end(&problem.code).await;
        }
    }
}
