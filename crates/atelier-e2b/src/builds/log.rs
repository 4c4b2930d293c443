//! The log of a build.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many entries a build may have; the rest is dropped, and the log says so.
const MOST: usize = 20_000;
/// Bytes of one entry; what is longer is cut.
const LONGEST: usize = 8 << 10;

/// How important an entry is, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_value(serde_json::Value::String(text.to_owned())).ok()
    }
}

/// `BuildLogEntry`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) timestamp: Timestamp,
    pub(crate) message: String,
    pub(crate) level: Level,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<String>,
}

/// Appends an entry, if there is still room.
pub(crate) fn push(log: &mut Vec<Entry>, level: Level, step: Option<&str>, message: &str) {
    if log.len() > MOST {
        return;
    }
    let full = log.len() == MOST;
    let mut message = if full { "the log is full: the rest is not kept" } else { message };
    if message.len() > LONGEST {
        message = &message[..message.floor_char_boundary(LONGEST)];
    }
    log.push(Entry {
        timestamp: Timestamp::now(),
        message: message.to_owned(),
        level: if full { Level::Warn } else { level },
        step: step.map(str::to_owned),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_an_end() {
        let mut log = Vec::new();
        push(&mut log, Level::Info, None, &"é".repeat(LONGEST));
        assert!(log[0].message.len() <= LONGEST);
        for _ in 0..MOST + 5 {
            push(&mut log, Level::Info, Some("1"), "line");
        }
        assert_eq!(log.len(), MOST + 1);
        assert!(log[MOST].message.contains("full"));
    }
}
