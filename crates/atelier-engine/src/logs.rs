//! What containers write.

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::{Stream, StreamExt};
use jiff::Timestamp;

use crate::connect::Engine;
use crate::error::{Doing, EngineError};

/// What is wanted of a container's output.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lines {
    /// Only so many of the newest lines; all that is kept when absent.
    pub tail: Option<u32>,
    /// Go on with what comes, and say of each line when it was written.
    pub follow: bool,
    /// Only what was written after this moment, as [`Piece::at`] has it.
    pub since: Option<Timestamp>,
}

/// A piece of a container's output.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Whether it is of standard error.
    pub error: bool,
    /// When it was written, when it is followed.
    pub at: Option<Timestamp>,
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
            .timestamps(wanted.follow)
            .since(wanted.since.map_or(0, whole_seconds))
            .tail(&tail)
            .build();
        let id = id.to_owned();
        let pieces = self.docker.logs(&id, Some(options)).map(move |piece| {
            let piece = piece.doing(|| format!("give the logs of {id}"))?;
            let error = matches!(piece, LogOutput::StdErr { .. });
            let bytes = piece.into_bytes();
            let (at, bytes) = if wanted.follow { dated(&bytes) } else { (None, &bytes[..]) };
            Ok(Piece { error, at, bytes: bytes.to_vec() })
        });
        // The API takes whole seconds; what is too old of the first one is left out here.
        pieces.filter(move |piece| {
            let old = |piece: &Piece| piece.at.is_some_and(|at| Some(at) <= wanted.since);
            std::future::ready(!piece.as_ref().is_ok_and(old))
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

fn whole_seconds(since: Timestamp) -> i32 {
    i32::try_from(since.as_second()).unwrap_or(i32::MAX)
}

/// A line with its time in front, apart. A piece without one goes on with a line.
fn dated(line: &[u8]) -> (Option<Timestamp>, &[u8]) {
    let apart = line.iter().position(|byte| *byte == b' ').and_then(|end| {
        let at = std::str::from_utf8(&line[..end]).ok()?.parse().ok()?;
        Some((Some(at), &line[end + 1..]))
    });
    apart.unwrap_or((None, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart_from_its_time() {
        let (at, line) = dated(b"2026-01-02T03:04:05.500000001Z new one\n");
        assert_eq!(at.unwrap().to_string(), "2026-01-02T03:04:05.500000001Z");
        assert_eq!(line, b"new one\n");
        assert_eq!(dated(b"the rest of a line\n"), (None, &b"the rest of a line\n"[..]));
    }
}
