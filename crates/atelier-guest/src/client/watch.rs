//! Following what happens in a folder.

use super::stream::Messages;
use super::{Guest, GuestError};
use crate::wire::{FilesystemEvent, WatchEvent, WatchRequest};

/// What happens in a watched folder.
#[derive(Debug)]
pub struct WatchStream(Messages);

impl Guest {
    /// Watches a folder, from the moment this returns.
    ///
    /// # Errors
    /// `guest.not_found` when there is no such folder.
    pub async fn watch(&self, request: &WatchRequest) -> Result<WatchStream, GuestError> {
        let response =
            self.streaming("/filesystem.Filesystem/WatchDir", request, &[]).await?.into_body();
        let mut messages = Messages::new(response);
        match messages.next().await {
            Some(Ok(WatchEvent::Start(_))) => Ok(WatchStream(messages)),
            Some(Ok(other)) => Err(GuestError::Unexpected(format!("{other:?} came before start"))),
            Some(Err(error)) => Err(error),
            None => Err(GuestError::Unexpected("the stream is empty".to_owned())),
        }
    }
}

impl WatchStream {
    /// The next event; none after the last.
    pub async fn next(&mut self) -> Option<Result<FilesystemEvent, GuestError>> {
        loop {
            match self.0.next().await? {
                Ok(WatchEvent::Filesystem(event)) => return Some(Ok(*event)),
                Ok(WatchEvent::Start(_) | WatchEvent::Keepalive(_)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
