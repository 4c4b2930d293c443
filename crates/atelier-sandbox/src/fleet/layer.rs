//! What a sandbox changed, as one more layer over its image: copied where it lies on this machine, and
//! asked of the guest where it is on a machine's own disk. That disk is never mounted here: a filesystem
//! that somebody else wrote is nothing for this machine's kernel.

use std::io::{self, Read};
use std::time::Duration;

use atelier_api::Problem;
use atelier_api::sandbox::SandboxState;
use atelier_guest::client::{FileStream, GuestError};
use atelier_image::ImageChange;
use tokio::runtime::Handle;
use tokio_util::bytes::Bytes;

use super::record::Record;
use super::{Fleet, broken};
use crate::{Root, SandboxError};

/// How long a guest may send nothing.
const PATIENCE: Duration = Duration::from_secs(60);

impl Fleet {
    /// Makes a nameless image of a sandbox's files as they are at one moment; it goes on afterwards.
    /// Gives the image's id.
    pub(super) async fn image_of(
        &self,
        record: &Record,
        change: impl FnOnce(&mut ImageChange),
    ) -> Result<String, Problem> {
        let runtime = self.runtime(record)?;
        let can = runtime.capabilities();
        if !can.layered && can.own_kernel {
            return self.commit_machine(record, change).await;
        }
        if !can.layered {
            return Err(SandboxError::Unsupported {
                runtime: runtime.name(),
                what: "freeze a sandbox's files as a template",
                remedy: "use a sandbox that is made of an image: of any other runtime".into(),
            }
            .into());
        }
        let live = self.live(record.id).filter(|_| record.state != SandboxState::Paused);
        if let Some(live) = &live {
            // What its processes wrote must be on the disk that is copied.
            let pause = async |target: crate::Target<'_>| Ok(runtime.pause(target).await?);
            self.with_target(record, live, pause).await?;
        }
        let image = self.commit_layer(record, change).await;
        if let Some(live) = &live {
            let resume = async |target: crate::Target<'_>| Ok(runtime.resume(target).await?);
            self.with_target(record, live, resume).await?;
        }
        image
    }

    /// The guest reads its own disk, and what it sends is unpacked like a stranger's layer.
    async fn commit_machine(
        &self,
        record: &Record,
        change: impl FnOnce(&mut ImageChange),
    ) -> Result<String, Problem> {
        let live = self.running(record, "frozen as a template")?;
        let Root::Image(parent) = &record.root else {
            return Err(broken(&"a machine without an image"));
        };
        let parent = self.image_store().get(parent)?;
        let changes = changed(record, &parent, change);
        let guest = live.guest.clone().with_token(self.secret.token("guest", record.id));
        let asked = tokio::time::timeout(PATIENCE, guest.layer()).await;
        let stream = asked.map_err(|_| silent()).and_then(|asked| asked.map_err(refused))?;
        let archive = Archive { stream, piece: Bytes::new(), runtime: Handle::current() };
        let image = self.image_store().commit_archive(&parent.id, archive, changes).await?;
        Ok(image.id.to_string())
    }
}

/// What an image of a sandbox's files is beside them.
pub(super) fn changed(
    record: &Record,
    parent: &atelier_image::Image,
    change: impl FnOnce(&mut ImageChange),
) -> ImageChange {
    let mut changes = ImageChange {
        config: parent.config.clone(),
        name: None,
        created_by: format!("sandbox {}", record.label()),
    };
    change(&mut changes);
    changes
}

/// What a guest sends, for somebody who waits for it on a thread that may wait.
struct Archive {
    stream: FileStream,
    piece: Bytes,
    runtime: Handle,
}

impl Read for Archive {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let next = self.stream.next();
            // Timers are made within the runtime.
            let next = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, next).await });
            self.piece = match next {
                Ok(Some(piece)) => piece.map_err(io::Error::other)?,
                Ok(None) => return Ok(0),
                Err(_) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "the guest is silent"));
                }
            };
        }
        let length = self.piece.len().min(into.len());
        let piece = self.piece.split_to(length);
        into[..length].copy_from_slice(&piece);
        Ok(length)
    }
}

fn silent() -> Problem {
    let why = GuestError::Unexpected("it said nothing for a minute".to_owned());
    SandboxError::from(why).into()
}

/// A guest that has been running since an earlier version knows no such call.
fn refused(error: GuestError) -> Problem {
    match error {
        GuestError::Http { status: 404, .. } => SandboxError::Unsupported {
            runtime: "of a machine that was started by an earlier version",
            what: "give its files",
            remedy: "stop the sandbox and start it again".into(),
        }
        .into(),
        error => error.into_problem(),
    }
}
