//! Folders, by way of the tar that is inside: one stream in one direction, whatever the number of
//! files.

use std::io;
use std::path::Path;

use atelier_api::{ExitCode, Problem};
use atelier_client::guest::client::{Guest, GuestError, ProcessStream};
use atelier_client::guest::wire::{
    Code, EndEvent, ProcessConfig, ProcessEvent, StartRequest, Stream,
};
use bytes::Bytes;
use tokio::sync::mpsc;

use super::beneath::Root;
use super::pack::{Blocks, pack};
use super::unpack::{Pieces, unpack};
use super::{WAITING, failed, plain};
use crate::failure::Failure;
use crate::output::{count, note};

/// How a shell says that there is no such command.
const NO_SUCH_COMMAND: i32 = 127;
/// What GNU tar ends with when files changed while it read them.
const CHANGED: i32 = 1;
/// How much of tar's complaints is kept, in bytes.
const COMPLAINTS: usize = 4096;

/// Copies what is in a folder into one of the sandbox, which is made.
pub(super) async fn folder_in(guest: &Guest, from: &Path, to: &str) -> Result<(), Failure> {
    match guest.make_dir(to).await {
        Err(error) if error.connect_code() != Some(Code::AlreadyExists) => return Err(error.into()),
        _ => {}
    }
    // The owner is whoever unpacks, and modes are kept as they are.
    let mut request = tar(&["-x", "-o", "-p", "-f", "-"], to);
    request.stdin = Some(true);
    let Some(stream) = start(guest, &request).await? else {
        return plain::folder_in(guest, from, to).await;
    };
    let pid = stream.pid();
    let (sender, receiver) = mpsc::channel(WAITING);
    let folder = from.to_owned();
    let packing = tokio::task::spawn_blocking(move || {
        let failed = sender.clone();
        let packed = pack(&folder, Blocks::new(sender));
        if let Err(error) = &packed {
            // The stream must not look whole.
            let _ = failed.blocking_send(Err(io::Error::new(error.kind(), error.to_string())));
        }
        packed
    });
    let sending = async {
        // Whether all of it arrived is tar's to say: it may end before the last zeros are read.
        let _ = guest.stream_input(pid, receiver).await;
        let _ = guest.close_stdin(pid).await;
    };
    let ((), ended) = tokio::join!(sending, drain(stream, None));
    let packed = packing.await.unwrap_or_else(|e| Err(io::Error::other(e)));
    match (packed, ended?) {
        (Err(error), _) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(failed("the folder cannot be read", &error))
        }
        (packed, ended) => {
            ended.check(&[0])?;
            left_out(packed.unwrap_or(0));
            Ok(())
        }
    }
}

/// Copies what is in a folder of the sandbox into one of this machine, which is made.
pub(super) async fn folder_out(guest: &Guest, from: &str, to: &Path) -> Result<(), Failure> {
    let mut root = Root::open(to).map_err(|e| Failure::of_file("written", to, &e))?;
    let Some(stream) = start(guest, &tar(&["-c", "-f", "-", "."], from)).await? else {
        return plain::folder_out(guest, from, &root).await;
    };
    let pid = stream.pid();
    let (sender, receiver) = mpsc::channel(WAITING);
    let unpacking = tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces { receiver, now: Bytes::new() };
        let unpacked = unpack(&mut pieces, &mut root)?;
        // What is behind the archive's end is padding; tar must not be ended by a closed pipe.
        io::copy(&mut pieces, &mut io::sink())?;
        Ok(unpacked)
    });
    let ended = drain(stream, Some(sender)).await;
    if !matches!(ended, Ok(Ended { end: Some(_), .. })) {
        // Nobody reads what it still has to say.
        let _ = guest.signal(pid, 15).await;
    }
    let unpacked: io::Result<_> = unpacking.await.unwrap_or_else(|e| Err(io::Error::other(e)));
    let unpacked = unpacked.map_err(|e| failed("the folder cannot be written", &e));
    let ended = ended?;
    match unpacked {
        // What tar says of itself comes first: a stream that was cut off is its doing.
        Err(failure) => {
            if ended.end.is_some() {
                ended.check(&[0, CHANGED])?;
            }
            Err(failure)
        }
        Ok(unpacked) => {
            ended.check(&[0, CHANGED])?;
            left_out(unpacked.special);
            Ok(())
        }
    }
}

fn left_out(special: u64) {
    if special > 0 {
        let what = count(usize::try_from(special).unwrap_or(usize::MAX), "device, pipe or socket");
        note(&format!("{what} left out"));
    }
}

fn tar(arguments: &[&str], folder: &str) -> StartRequest {
    let process = ProcessConfig {
        cmd: "tar".to_owned(),
        args: arguments.iter().map(|&word| word.to_owned()).collect(),
        cwd: Some(folder.to_owned()),
        ..ProcessConfig::default()
    };
    StartRequest { process, stdin: Some(false), ..StartRequest::default() }
}

/// Starts tar; none when there is none.
async fn start(guest: &Guest, request: &StartRequest) -> Result<Option<ProcessStream>, GuestError> {
    match guest.start(request).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if error.shell_code() == Some(NO_SUCH_COMMAND) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How tar ended, and what it complained of.
#[derive(Default)]
struct Ended {
    /// None when nobody wanted the rest of its output.
    end: Option<EndEvent>,
    complaints: Vec<u8>,
}

/// Reads to a process's end. Its output goes to `out`; without one there is none.
async fn drain(
    mut stream: ProcessStream,
    out: Option<mpsc::Sender<Bytes>>,
) -> Result<Ended, GuestError> {
    let mut ended = Ended::default();
    while let Some(event) = stream.next().await {
        match event? {
            ProcessEvent::Data(data) if data.stream == Stream::Stderr => {
                let room = COMPLAINTS.saturating_sub(ended.complaints.len());
                ended.complaints.extend_from_slice(&data.bytes[..room.min(data.bytes.len())]);
            }
            ProcessEvent::Data(data) => {
                if let Some(out) = &out
                    && out.send(data.bytes).await.is_err()
                {
                    return Ok(ended);
                }
            }
            ProcessEvent::End(end) => ended.end = Some(end),
            _ => {}
        }
    }
    Ok(ended)
}

impl Ended {
    fn check(&self, good: &[i32]) -> Result<(), Failure> {
        let complaints = String::from_utf8_lossy(&self.complaints);
        let complaints = complaints.trim();
        match &self.end {
            Some(end) if end.signal.is_none() && good.contains(&end.exit_code) => {
                complaints.lines().for_each(note);
                Ok(())
            }
            end => {
                let status = end.as_ref().map_or("no end was seen", |end| end.status.as_str());
                let detail = format!("tar in the sandbox failed: {status}");
                let problem = Problem::new("copy.failed", ExitCode::Failed, detail);
                let hints = complaints.lines().map(str::to_owned).collect();
                Err(problem.with_hints(hints).into())
            }
        }
    }
}
