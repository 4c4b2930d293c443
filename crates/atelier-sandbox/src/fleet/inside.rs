//! Commands, files and processes in a sandbox, one question and one answer each.

use std::time::Duration;

use atelier_api::inside::{
    Encoding, SandboxContent, SandboxExecInput, SandboxExecuted, SandboxFile, SandboxFileKind,
    SandboxFilesInput, SandboxMoveInput, SandboxPathInput, SandboxProcess, SandboxSignalInput,
    SandboxWriteInput,
};
use atelier_api::sandbox::SandboxRef;
use atelier_api::system::Nothing;
use atelier_api::{ExitCode, Problem};
use atelier_guest::client::{Guest, GuestError, ProcessStream};
use atelier_guest::wire::{
    Code, EntryInfo, FileType, ProcessConfig, ProcessEvent, ProcessInfo, StartRequest, Stream,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Fleet;
use crate::tail::Tail;

/// Bytes of each output that are kept, unless the caller says otherwise, and at most.
const KEEP: usize = 1 << 20;
const KEEP_MOST: usize = 16 << 20;
/// The largest file that is read in one piece, in bytes.
const LARGEST: u64 = 16 << 20;
/// What timeout(1) ends with when the time was over.
const TIME_OVER: i32 = 124;
/// SIGTERM.
const TERM: i32 = 15;

impl Fleet {
    /// Runs a command to its end.
    ///
    /// # Errors
    /// When the sandbox does not run, or there is no such command, folder or user.
    pub async fn exec(&self, input: SandboxExecInput) -> Result<SandboxExecuted, Problem> {
        let guest = self.guest(&input.sandbox, input.user.as_deref()).await?;
        let mut words = input.command.into_iter();
        let Some(cmd) = words.next() else {
            return Err(invalid("the command is empty".to_owned())
                .hint("give the program and its arguments: [\"ls\", \"-l\"]"));
        };
        let process = ProcessConfig {
            cmd,
            args: words.collect(),
            envs: input.variables,
            cwd: input.workdir,
            raw: None,
        };
        let request =
            StartRequest { process, stdin: Some(input.stdin.is_some()), ..<_>::default() };
        let limit = input.timeout.map(Duration::from_secs);
        let stream = guest.start_within(&request, limit).await.map_err(GuestError::into_problem)?;
        let feeder = input.stdin.map(|text| tokio::spawn(feed(guest.apart(), stream.pid(), text)));
        let kept = input.keep.unwrap_or(KEEP).min(KEEP_MOST);
        let done = collect(stream, kept).await.map_err(GuestError::into_problem);
        if let Some(feeder) = feeder {
            // A command that has ended reads no more.
            feeder.abort();
        }
        done
    }

    /// What is in a folder, by path.
    ///
    /// # Errors
    /// When there is no such folder.
    pub async fn files(&self, input: SandboxFilesInput) -> Result<Vec<SandboxFile>, Problem> {
        let guest = self.guest(&input.sandbox, None).await?;
        let path = input.path.unwrap_or_else(|| "~".to_owned());
        let found = guest.list_dir(&path, input.depth.unwrap_or(1)).await;
        Ok(found.map_err(GuestError::into_problem)?.into_iter().map(file).collect())
    }

    /// What a file holds.
    ///
    /// # Errors
    /// When there is none, or it is too large for one answer.
    pub async fn read_file(&self, input: SandboxPathInput) -> Result<SandboxContent, Problem> {
        let guest = self.guest(&input.sandbox, None).await?;
        let mut stream = guest.open_file(&input.path).await.map_err(GuestError::into_problem)?;
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece.map_err(GuestError::into_problem)?);
            if bytes.len() as u64 > LARGEST {
                return Err(too_large(&input));
            }
        }
        let size = bytes.len() as u64;
        let (content, encoding) = match String::from_utf8(bytes) {
            Ok(text) => (text, Encoding::Utf8),
            Err(other) => (STANDARD.encode(other.as_bytes()), Encoding::Base64),
        };
        Ok(SandboxContent { content, encoding, size })
    }

    /// Writes a file.
    ///
    /// # Errors
    /// When the disk is full, or it can't be written.
    pub async fn write_file(&self, input: SandboxWriteInput) -> Result<SandboxFile, Problem> {
        let bytes = match input.encoding {
            Encoding::Utf8 => input.content.into_bytes(),
            Encoding::Base64 => STANDARD
                .decode(&input.content)
                .map_err(|e| invalid(format!("the content is no Base64: {e}")))?,
        };
        let guest = self.guest(&input.sandbox, None).await?;
        guest.write(&input.path, bytes).await.map_err(GuestError::into_problem)?;
        entry(guest.stat(&input.path).await)
    }

    /// Removes a file or folder.
    ///
    /// # Errors
    /// When it is there and stays.
    pub async fn delete_file(&self, input: SandboxPathInput) -> Result<Nothing, Problem> {
        let guest = self.guest(&input.sandbox, None).await?;
        guest.remove(&input.path).await.map_err(GuestError::into_problem)?;
        Ok(Nothing {})
    }

    /// Makes a folder; one that is there is fine.
    ///
    /// # Errors
    /// When it can't be made.
    pub async fn make_folder(&self, input: SandboxPathInput) -> Result<SandboxFile, Problem> {
        let guest = self.guest(&input.sandbox, None).await?;
        match guest.make_dir(&input.path).await {
            Err(error) if error.connect_code() == Some(Code::AlreadyExists) => {
                entry(guest.stat(&input.path).await)
            }
            made => entry(made),
        }
    }

    /// Moves a file or folder.
    ///
    /// # Errors
    /// When there is nothing to move, or its new place can't be had.
    pub async fn move_file(&self, input: SandboxMoveInput) -> Result<SandboxFile, Problem> {
        let guest = self.guest(&input.sandbox, None).await?;
        entry(guest.rename(&input.from, &input.to).await)
    }

    /// The commands that were started, those that ended not long ago as well.
    ///
    /// # Errors
    /// When the sandbox does not run.
    pub async fn processes(&self, input: SandboxRef) -> Result<Vec<SandboxProcess>, Problem> {
        let guest = self.guest(&input.sandbox, None).await?;
        let all = guest.list(true).await.map_err(GuestError::into_problem)?;
        Ok(all.into_iter().map(process).collect())
    }

    /// Sends a signal to a command.
    ///
    /// # Errors
    /// When there is no such command.
    pub async fn signal(&self, input: SandboxSignalInput) -> Result<Nothing, Problem> {
        let guest = self.guest(&input.sandbox, None).await?;
        let number = input.signal.unwrap_or(TERM);
        guest.signal(input.pid, number).await.map_err(GuestError::into_problem)?;
        Ok(Nothing {})
    }

    async fn guest(&self, sandbox: &str, user: Option<&str>) -> Result<Guest, Problem> {
        let guest = self.enter(sandbox, false).await?.guest;
        Ok(match user {
            Some(user) => guest.with_user(user),
            None => guest,
        })
    }
}

/// Writes a command's standard input and closes it. That nobody reads it is the command's business.
async fn feed(guest: Guest, pid: u32, text: String) {
    let sent = guest.send_input(pid, text, false).await;
    let closed = guest.close_stdin(pid).await;
    if let Err(error) = sent.and(closed) {
        tracing::debug!(%error, pid, "not all of its input was taken");
    }
}

async fn collect(mut stream: ProcessStream, keep: usize) -> Result<SandboxExecuted, GuestError> {
    let (mut stdout, mut stderr) = (Tail::new(keep), Tail::new(keep));
    let mut ended = None;
    while let Some(event) = stream.next().await {
        match event {
            Ok(ProcessEvent::Data(data)) => match data.stream {
                Stream::Stderr => stderr.add(&data.bytes),
                Stream::Stdout | Stream::Pty => stdout.add(&data.bytes),
            },
            Ok(ProcessEvent::End(end)) => ended = Some((end.shell_code(), false)),
            Ok(_) => {}
            Err(error) if error.connect_code() == Some(Code::DeadlineExceeded) => {
                ended = Some((TIME_OVER, true));
                break;
            }
            Err(error) => return Err(error),
        }
    }
    let missing = || GuestError::Unexpected("the output ended before the command".into());
    let (exit_code, timed_out) = ended.ok_or_else(missing)?;
    let ((stdout, lost), (stderr, lost_errors)) = (stdout.finish(), stderr.finish());
    Ok(SandboxExecuted { exit_code, stdout, stderr, lost_bytes: lost + lost_errors, timed_out })
}

fn entry(found: Result<EntryInfo, GuestError>) -> Result<SandboxFile, Problem> {
    found.map(file).map_err(GuestError::into_problem)
}

fn file(entry: EntryInfo) -> SandboxFile {
    let kind = match entry.kind {
        _ if entry.symlink_target.is_some() => SandboxFileKind::Link,
        FileType::File => SandboxFileKind::File,
        FileType::Directory => SandboxFileKind::Folder,
        FileType::Symlink => SandboxFileKind::Link,
        FileType::Unspecified => SandboxFileKind::Other,
    };
    SandboxFile {
        path: entry.path,
        kind,
        size: entry.size,
        mode: format!("{:o}", entry.mode & 0o7777),
        owner: entry.owner,
        group: entry.group,
        modified_at: entry.modified_time.and_then(|time| time.parse().ok()),
        leads_to: entry.symlink_target,
    }
}

fn process(info: ProcessInfo) -> SandboxProcess {
    let mut command = vec![info.config.cmd];
    command.extend(info.config.args);
    SandboxProcess {
        pid: info.pid,
        command,
        workdir: info.config.cwd,
        exit_code: info.end.map(|end| end.shell_code()),
    }
}

fn invalid(detail: String) -> Problem {
    Problem::new("request.invalid", ExitCode::Usage, detail)
}

fn too_large(input: &SandboxPathInput) -> Problem {
    let detail = format!("{} is larger than {LARGEST} bytes", input.path);
    Problem::new("files.too_large", ExitCode::Usage, detail).hint(format!(
        "read it as a stream: GET /api/v1/sandboxes/{}/guest/files?path=...",
        input.sandbox
    ))
}
