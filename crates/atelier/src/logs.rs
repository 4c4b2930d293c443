//! Where the control plane's log lines go, and how they look.

use std::io::IsTerminal;

use atelier_api::{ExitCode, Problem};
use atelier_config::{LogFormat, Settings};
use tracing_subscriber::EnvFilter;

/// Log lines go to standard error from now on.
pub(crate) fn start(settings: &Settings) -> Result<(), Problem> {
    let level = &settings.log_level.value;
    let filter = EnvFilter::try_new(level).map_err(|e| {
        Problem::new("config.log_level", ExitCode::Usage, format!("{level:?} is no log level: {e}"))
            .hint("write error, warn, info, debug or trace")
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    match settings.log_format.value {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}
