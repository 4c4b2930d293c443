//! How a command fails, and how that is said: what failed and why, then what to do next.

use std::io::{self, Write};
use std::path::Path;

use atelier_api::{BadName, ExitCode, Fault, Problem};
use atelier_client::ClientError;
use atelier_client::guest::client::GuestError;
use atelier_config::ConfigError;

use crate::output::Paint;

/// The exit code of a program that SIGPIPE ended: 128 and 13.
pub(crate) const BROKEN_PIPE: u8 = 141;

/// Why a command did not do what it should.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something is wrong.
    Problem(Box<Problem>),
    /// Nobody reads the output any more, which is nobody's fault.
    BrokenPipe,
    /// All has been said already.
    Code(u8),
}

impl Failure {
    /// A mistake in the command line.
    pub(crate) fn usage(detail: impl Into<String>) -> Self {
        Problem::new("usage", ExitCode::Usage, detail).into()
    }

    /// A file of this machine that cannot be read or written.
    pub(crate) fn of_file(what: &str, path: &Path, error: &io::Error) -> Self {
        let exit = match error.kind() {
            io::ErrorKind::NotFound => ExitCode::NotFound,
            io::ErrorKind::PermissionDenied => ExitCode::NotPermitted,
            io::ErrorKind::AlreadyExists => ExitCode::Conflict,
            _ => ExitCode::Failed,
        };
        let detail = format!("{} cannot be {what}: {error}", path.display());
        Problem::new("file.failed", exit, detail).into()
    }

    /// Says it on standard error and gives the exit code.
    pub(crate) fn report(self, json: bool) -> u8 {
        match self {
            Self::BrokenPipe => BROKEN_PIPE,
            Self::Code(code) => code,
            Self::Problem(problem) => {
                let text =
                    if json { as_json(&problem) } else { as_text(&problem, Paint::stderr()) };
                let _ = io::stderr().write_all(text.as_bytes());
                problem.exit
            }
        }
    }
}

fn as_json(problem: &Problem) -> String {
    let mut text = serde_json::to_string_pretty(problem).unwrap_or_default();
    text.push('\n');
    text
}

fn as_text(problem: &Problem, paint: Paint) -> String {
    let mut text = format!("{} {}\n", paint.red("error:"), problem.detail);
    for hint in &problem.hints {
        text.push_str(&format!("{} {hint}\n", paint.cyan("hint:")));
    }
    text
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<Box<Problem>> for Failure {
    fn from(problem: Box<Problem>) -> Self {
        Self::Problem(problem)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Problem::from(error).into()
    }
}

impl From<GuestError> for Failure {
    fn from(error: GuestError) -> Self {
        error.into_problem().into()
    }
}

/// Errors of the parts that the command line calls itself say all that is to be said.
macro_rules! of_fault {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                error.problem().into()
            }
        }
    )+};
}

of_fault!(
    ConfigError,
    BadName,
    atelier_mcp::McpError,
    atelier_plugin::PluginError,
    atelier_tools::ToolsError,
    atelier_toolrun::data::Error,
    atelier_toolrun::lifecycle::Error,
    atelier_toolrun::secrets::Error,
);

/// A failed write to standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::BrokenPipe;
        }
        let detail = format!("standard output cannot be written: {error}");
        Problem::new("output.failed", ExitCode::Failed, detail).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_and_then_what_to_do() {
        let problem = Problem::new("x", ExitCode::Failed, "it broke").hint("mend it");
        assert_eq!(as_text(&problem, Paint::plain()), "error: it broke\nhint: mend it\n");
    }

    #[test]
    fn a_reader_that_is_gone_is_no_error() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.report(false), BROKEN_PIPE);
    }
}
