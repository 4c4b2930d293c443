//! What containers write.

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::{Stream, StreamExt};

use crate::connect::Engine;
use crate::error::{Doing, EngineError};

/// What is wanted of a container's output.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lines {
    /// Only so many of the newest lines; all that is kept when absent.
    pub tail: Option<u32>,
    /// Go on with what comes.
    pub follow: bool,
    /// Each line with its time (RFC 3339) in front.
    pub timestamps: bool,
}

/// A piece of a container's output.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Whether it is of standard error.
    pub error: bool,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Engine {
    /// A container's output.
    pub fn logs(
        &self,
        id: &str,
        wanted: Lines,
    ) -> impl Stream<Item = Result<Piece, EngineError>> + use<> {
        let tail = wanted.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .follow(wanted.follow)
            .timestamps(wanted.timestamps)
            .tail(&tail)
            .build();
        let id = id.to_owned();
        self.docker.logs(&id, Some(options)).map(move |piece| {
            let piece = piece.doing(|| format!("give the logs of {id}"))?;
            let error = matches!(piece, LogOutput::StdErr { .. });
            Ok(Piece { error, bytes: piece.into_bytes().to_vec() })
        })
    }

    /// The newest lines of a container's output as text, for messages.
    pub async fn last_words(&self, id: &str, lines: u32) -> String {
        let wanted = Lines { tail: Some(lines), ..Lines::default() };
        let mut pieces = std::pin::pin!(self.logs(id, wanted));
        let mut bytes = Vec::new();
        while let Some(Ok(piece)) = pieces.next().await {
            bytes.extend(piece.bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
