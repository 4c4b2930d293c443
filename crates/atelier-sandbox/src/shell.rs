//! Commands of ours inside sandboxes: setup, start and ready commands, and unpacking.

use std::path::Path;
use std::time::Duration;

use atelier_api::{ExitCode, Problem};
use atelier_guest::client::{Guest, GuestError};
use atelier_guest::wire::{ProcessConfig, ProcessEvent, StartRequest};

use crate::tail::Tail;

/// The most output that is kept of one command.
const LONGEST: usize = 1 << 20;

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code.
    pub(crate) code: i32,
    /// What it said on both of its outputs, the end of it.
    pub(crate) output: String,
}

/// Runs a shell command to its end, in the user's own folder unless one is named.
pub(crate) async fn run(
    guest: &Guest,
    command: &str,
    folder: Option<&str>,
    limit: Option<Duration>,
) -> Result<Ended, Problem> {
    let mut request = request(command);
    request.process.cwd = folder.map(str::to_owned);
    let mut stream = guest.start_within(&request, limit).await.map_err(failed)?;
    let mut said = Tail::new(LONGEST);
    while let Some(event) = stream.next().await {
        match event.map_err(failed)? {
            ProcessEvent::Data(data) => said.add(&data.bytes),
            ProcessEvent::End(end) => {
                return Ok(Ended { code: end.exit_code, output: said.finish().0 });
            }
            _ => {}
        }
    }
    Err(failed(GuestError::Unexpected("the output ended before the command".into())))
}

/// Starts a shell command and leaves it running.
pub(crate) async fn start(guest: &Guest, command: &str) -> Result<(), Problem> {
    guest.start(&request(command)).await.map(drop).map_err(failed)
}

/// Makes a folder that is not there yet, for `user`.
pub(crate) async fn ensure_folder(
    guest: &Guest,
    folder: &str,
    user: Option<&str>,
) -> Result<(), Problem> {
    let folder = quote(folder);
    let own = user.map(|u| format!(" && chown {} {folder}", quote(u))).unwrap_or_default();
    let command = format!("test -d {folder} || {{ mkdir -p {folder}{own}; }}");
    let ended = run(guest, &command, None, None).await?;
    if ended.code == 0 {
        return Ok(());
    }
    let detail = format!("the folder {folder} can't be made: {}", ended.output.trim());
    Err(Problem::new("template.workdir", ExitCode::Failed, detail))
}

/// Unpacks a tar archive of this machine into a folder of the sandbox, owned by `user`.
pub(crate) async fn unpack(
    guest: &Guest,
    archive: &Path,
    folder: &str,
    user: Option<&str>,
) -> Result<(), Problem> {
    let root = guest.clone().with_user("root");
    let place = "/tmp/.atelier-repository.tar";
    let file = tokio::fs::File::open(archive).await.map_err(|e| {
        Problem::new("template.repository", ExitCode::Failed, format!("{}: {e}", archive.display()))
    })?;
    root.write_from(place, file).await.map_err(failed)?;
    let owner = user.filter(|user| *user != "root");
    let own = owner.map(|u| format!(" && chown -R {} {}", quote(u), quote(folder)));
    let command = format!(
        "mkdir -p {folder} && tar -x -C {folder} --no-same-owner -f {place}{own} && rm {place}",
        folder = quote(folder),
        own = own.unwrap_or_default(),
    );
    let ended = run(&root, &command, None, None).await?;
    if ended.code == 0 {
        return Ok(());
    }
    Err(Problem::new(
        "template.repository",
        ExitCode::Failed,
        format!("the repository could not be unpacked in the image: {}", ended.output.trim()),
    )
    .hint("the image needs sh and tar"))
}

fn request(command: &str) -> StartRequest {
    StartRequest {
        process: ProcessConfig {
            cmd: "/bin/sh".into(),
            args: vec!["-c".into(), command.into()],
            ..ProcessConfig::default()
        },
        stdin: Some(false),
        ..StartRequest::default()
    }
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn failed(error: GuestError) -> Problem {
    crate::SandboxError::from(error).into()
}
