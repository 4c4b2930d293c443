//! `secrets:` of `atelier.yaml`: a command that fetches what a new environment must know. It runs inside, like
//! every command of a project's file. What it writes to its terminal is neither shown, logged nor kept.

use std::path::Path;
use std::sync::Arc;

use atelier_api::{ExitCode, Problem};
use atelier_guest::wire::{ProcessConfig, ProcessEvent, StartRequest};

use crate::record::Record;
use crate::workshop::Workshop;

impl Workshop {
    /// Runs it to its end.
    pub(crate) async fn fetch_secrets(
        self: &Arc<Self>,
        record: &Record,
        command: &str,
    ) -> Result<(), Problem> {
        let live = self.sandbox(record).await?;
        // The guest keeps what commands write, so that one can come back to them: this one has nothing to write to.
        let quiet = format!("exec >/dev/null 2>&1\n{command}");
        let envs = self.variables(record, &self.defaults.inherited);
        let cwd = &record.workspace.target;
        let process =
            ProcessConfig::of_bytes(Path::new("/bin/sh"), &["-c".into(), quiet.into()], envs, cwd);
        let request = StartRequest { process, stdin: Some(false), ..StartRequest::default() };
        let mut stream = live.guest.start(&request).await?;
        let code = loop {
            match stream.next().await {
                Some(Ok(ProcessEvent::End(end))) => break end.shell_code(),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(failed("did not end by itself")),
            }
        };
        live.touch();
        if code == 0 { Ok(()) } else { Err(failed(&format!("ended with {code}"))) }
    }
}

/// The command line is not said either: it may hold what must not be known.
fn failed(how: &str) -> Problem {
    let detail = format!("the command `secrets` of atelier.yaml {how}");
    Problem::new("env.secrets_failed", ExitCode::Failed, detail)
        .hint("the environment was taken back; try the command in one without it: its output is not kept")
        .hint("a command that needs credentials of this machine needs their group: grants in atelier.yaml")
}
