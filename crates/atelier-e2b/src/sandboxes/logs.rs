//! `GET …/logs`: the commands of a sandbox and what they wrote, as long as its guest keeps it.

use std::collections::BTreeMap;

use atelier_api::sandbox::SandboxState;
use atelier_guest::client::Guest;
use atelier_guest::wire::{ProcessEvent, ProcessInfo, Stream};
use axum::Json;
use axum::extract::Path;
use jiff::Timestamp;
use serde::Serialize;

use super::find;
use crate::request::{Caller, Params};
use crate::{Door, E2bError};

/// The most entries of one answer.
const MOST: i64 = 1000;
/// How much of a command's output is looked at: the newest bytes.
const NEWEST: u64 = 256 << 10;

/// Who writes all that is here.
const LOGGER: &str = "process";

/// `LogLevel`, from the least grave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// `SandboxLogEntry`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Entry {
    timestamp: Timestamp,
    level: Level,
    message: String,
    fields: BTreeMap<&'static str, String>,
}

/// `SandboxLog`.
#[derive(Debug, Serialize)]
struct Line {
    timestamp: Timestamp,
    line: String,
}

impl Line {
    /// The line is JSON once more: E2B's command line takes `level` and `logger` out of it.
    fn of(entry: &Entry) -> Self {
        let mut line = serde_json::json!({
            "level": entry.level,
            "logger": LOGGER,
            "message": entry.message,
        });
        for (name, value) in &entry.fields {
            line[*name] = value.clone().into();
        }
        Self { timestamp: entry.timestamp, line: line.to_string() }
    }
}

/// `SandboxLogs`.
#[derive(Debug, Serialize)]
pub(crate) struct Legacy {
    logs: Vec<Line>,
    #[serde(rename = "logEntries")]
    entries: Vec<Entry>,
}

/// `SandboxLogsV2Response`.
#[derive(Debug, Serialize)]
pub(crate) struct Logs {
    logs: Vec<Entry>,
}

/// What is asked for.
struct Wanted {
    moment: Option<Timestamp>,
    limit: usize,
    backward: bool,
    level: Level,
    search: String,
}

impl Wanted {
    fn of(params: &Params, moment: &str) -> Result<Self, E2bError> {
        let wrong = |what: &str| E2bError::Invalid(format!("{what} can't be used"));
        let limit = params.number("limit")?.unwrap_or(MOST).min(MOST);
        let at = params.number(moment)?.map(Timestamp::from_millisecond).transpose();
        Ok(Self {
            moment: at.map_err(|_| wrong(moment))?,
            limit: usize::try_from(limit).map_err(|_| wrong("limit"))?,
            backward: match params.get("direction") {
                None | Some("forward") => false,
                Some("backward") => true,
                Some(_) => return Err(wrong("direction")),
            },
            level: match params.get("level") {
                None | Some("debug") => Level::Debug,
                Some("info") => Level::Info,
                Some("warn") => Level::Warn,
                Some("error") => Level::Error,
                Some(_) => return Err(wrong("level")),
            },
            search: params.get("search").unwrap_or_default().to_owned(),
        })
    }

    fn choose(&self, mut all: Vec<Entry>) -> Vec<Entry> {
        all.retain(|entry| {
            let there = self.moment.is_none_or(|moment| match self.backward {
                true => entry.timestamp <= moment,
                false => entry.timestamp >= moment,
            });
            there && entry.level >= self.level && entry.message.contains(&self.search)
        });
        // What has the same time keeps the order in which it was written.
        all.sort_by_key(|entry| entry.timestamp);
        if self.backward {
            all.reverse();
        }
        all.truncate(self.limit);
        all
    }
}

/// `GET /sandboxes/{id}/logs`, from `start` in milliseconds since 1970.
pub(crate) async fn legacy<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Legacy>, E2bError> {
    let wanted = Wanted::of(&params, "start")?;
    let entries = wanted.choose(all(&door, &id).await?);
    Ok(Json(Legacy { logs: entries.iter().map(Line::of).collect(), entries }))
}

/// `GET /v2/sandboxes/{id}/logs`, from `cursor` in either direction.
pub(crate) async fn current<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Logs>, E2bError> {
    let wanted = Wanted::of(&params, "cursor")?;
    Ok(Json(Logs { logs: wanted.choose(all(&door, &id).await?) }))
}

fn unreadable(error: impl std::fmt::Display) -> E2bError {
    E2bError::Failed(format!("the sandbox's logs can't be read: {error}"))
}

async fn all<D: Door>(door: &D, id: &str) -> Result<Vec<Entry>, E2bError> {
    let sandbox = find(door, id).await?.sandbox;
    // Whoever reads logs wakes nothing.
    if sandbox.state != SandboxState::Running {
        return Ok(Vec::new());
    }
    let guest = door.guest(&sandbox.id).await?;
    let mut entries = Vec::new();
    for process in guest.list(true).await.map_err(unreadable)? {
        entries.extend(of_process(&guest, &process).await?);
    }
    Ok(entries)
}

async fn of_process(guest: &Guest, process: &ProcessInfo) -> Result<Vec<Entry>, E2bError> {
    let time = |millis: Option<u64>| {
        let millis = millis.and_then(|millis| i64::try_from(millis).ok()).unwrap_or(0);
        Timestamp::from_millisecond(millis).unwrap_or_default()
    };
    let entry = |at, level, message: String, stream: Option<Stream>| {
        let mut fields = BTreeMap::from([("pid", process.pid.to_string())]);
        if let Some(stream) = stream {
            fields.insert("stream", format!("{stream:?}").to_lowercase());
        }
        Entry { timestamp: time(at), level, message, fields }
    };
    let command = [&process.config.cmd].into_iter().chain(&process.config.args);
    let command: Vec<&str> = command.map(String::as_str).collect();
    let began = format!("process started: {}", command.join(" "));
    let mut entries = vec![entry(process.started_at, Level::Info, began, None)];
    for (stream, line) in lines(output(guest, process.pid).await?) {
        entries.push(entry(process.started_at, Level::Info, line, Some(stream)));
    }
    if let Some(end) = &process.end {
        let level = if end.exit_code == 0 { Level::Info } else { Level::Error };
        let ended = format!("process ended: {}", end.status);
        entries.push(entry(process.ended_at, level, ended, None));
    }
    Ok(entries)
}

/// The newest output of a command, up to now.
async fn output(guest: &Guest, pid: u32) -> Result<Vec<(Stream, Vec<u8>)>, E2bError> {
    let now = guest.connect(pid, None).await.map_err(unreadable)?.offset();
    let from = now.saturating_sub(NEWEST);
    let mut events = guest.connect(pid, Some(from)).await.map_err(unreadable)?;
    let mut parts = Vec::new();
    while events.offset() < now {
        match events.next().await.transpose().map_err(unreadable)? {
            Some(ProcessEvent::Data(data)) => parts.push((data.stream, data.bytes.to_vec())),
            Some(ProcessEvent::End(_)) | None => break,
            Some(_) => {}
        }
    }
    Ok(parts)
}

/// Lines of each stream, in the order of their ends.
fn lines(parts: Vec<(Stream, Vec<u8>)>) -> Vec<(Stream, String)> {
    let mut open: Vec<(Stream, Vec<u8>)> = Vec::new();
    let mut lines = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\r').to_owned();
    for (stream, bytes) in parts {
        let at = open.iter().position(|(other, _)| *other == stream).unwrap_or_else(|| {
            open.push((stream, Vec::new()));
            open.len() - 1
        });
        let rest = &mut open[at].1;
        for byte in bytes {
            if byte == b'\n' {
                lines.push((stream, text(rest)));
                rest.clear();
            } else {
                rest.push(byte);
            }
        }
    }
    let last = open.iter().filter(|(_, rest)| !rest.is_empty());
    lines.extend(last.map(|(stream, rest)| (*stream, text(rest))));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_becomes_lines_of_its_stream_whatever_its_pieces_are() {
        let part = |stream, text: &str| (stream, text.as_bytes().to_vec());
        let parts = vec![
            part(Stream::Stdout, "one\ntw"),
            part(Stream::Stderr, "oh\r\n"),
            part(Stream::Stdout, "o\nend"),
        ];
        let line = |stream, text: &str| (stream, text.to_owned());
        assert_eq!(
            lines(parts),
            [
                line(Stream::Stdout, "one"),
                line(Stream::Stderr, "oh"),
                line(Stream::Stdout, "two"),
                line(Stream::Stdout, "end"),
            ]
        );
    }

    #[test]
    fn a_line_for_old_clients_is_json_with_its_level() {
        let fields = BTreeMap::from([("stream", "stdout".to_owned())]);
        let message = "say \"hi\"".to_owned();
        let entry = Entry { timestamp: Timestamp::UNIX_EPOCH, level: Level::Warn, message, fields };
        let line: serde_json::Value = serde_json::from_str(&Line::of(&entry).line).unwrap();
        let said = serde_json::json!({
            "level": "warn", "logger": "process", "message": "say \"hi\"", "stream": "stdout",
        });
        assert_eq!(line, said);
    }

    #[test]
    fn entries_are_chosen_by_time_level_and_words() {
        let entry = |second, level, message: &str| Entry {
            timestamp: Timestamp::from_second(second).unwrap(),
            level,
            message: message.to_owned(),
            fields: BTreeMap::new(),
        };
        let all = vec![
            entry(3, Level::Error, "ended badly"),
            entry(1, Level::Info, "began"),
            entry(2, Level::Info, "a line"),
        ];
        let wanted = |backward, moment, level, search: &str| Wanted {
            moment: Some(Timestamp::from_second(moment).unwrap()),
            limit: 2,
            backward,
            level,
            search: search.to_owned(),
        };
        let chosen = |wanted: Wanted| -> Vec<String> {
            wanted.choose(all.clone()).into_iter().map(|entry| entry.message).collect()
        };
        assert_eq!(chosen(wanted(false, 0, Level::Debug, "")), ["began", "a line"]);
        assert_eq!(chosen(wanted(true, 2, Level::Debug, "")), ["a line", "began"]);
        assert_eq!(chosen(wanted(false, 2, Level::Error, "")), ["ended badly"]);
        assert_eq!(chosen(wanted(false, 0, Level::Debug, "line")), ["a line"]);
    }
}
