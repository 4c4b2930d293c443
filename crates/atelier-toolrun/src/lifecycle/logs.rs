//! What a service says: the log of a kept process, or what the plugin's or its kind's command shows.

use std::io::{self, Read, Write};
use std::process::Stdio;
use std::time::Duration;

use super::defaults;
use super::error::{Error, Result};
use super::keep::log_file;
use super::log::Tail;
use super::ready::Ready;
use super::spawn::{self, Line};
use super::tool::{Kind, Manner, Tool};
use crate::{Home, OfFile as _, Slug};

/// Between two looks at a log that is followed.
const PAUSE: Duration = Duration::from_millis(100);

/// Writes the last `lines` lines of a tool's log to `out`, and what comes then when `follow` holds, until
/// `stop` says so or `out` takes no more. Secrets are masked. Returns the command's code, 0 for a file.
///
/// # Errors
/// [`Error::NoCommand`] when there is no log, [`Error::File`].
pub fn logs(
    home: &Home,
    slug: &Slug,
    lines: usize,
    follow: bool,
    out: &mut dyn Write,
    stop: &dyn Fn() -> bool,
    manner: &Manner<'_>,
) -> Result<i32> {
    let tool = Tool::load(home, slug)?;
    let ready = Ready::at_least(home, tool, manner);
    let tool = &ready.tool;
    let command = defaults::logs(tool, lines, follow, &ready.environment);
    let written = match (tool.kind(), command) {
        (Kind::Process, None) => file(&log_file(home, slug), &ready, lines, follow, out, stop),
        (_, Some(line)) => command_output(home, &ready, &line, out),
        (_, None) => {
            let path = tool.run_folder(home)?.join("start.log");
            if !path.exists() {
                let reason = "nothing has been said yet".to_owned();
                return Err(Error::NoCommand { slug: slug.to_string(), verb: "logs", reason });
            }
            file(&path, &ready, lines, follow, out, stop)
        }
    };
    match written {
        // Whoever read has gone: `logs | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        written => written.map_err(Error::file("read", home.run(slug))),
    }
}

fn file(
    path: &std::path::Path,
    ready: &Ready,
    lines: usize,
    follow: bool,
    out: &mut dyn Write,
    stop: &dyn Fn() -> bool,
) -> io::Result<i32> {
    let mut tail = Tail::open(path, lines)?;
    let mut writer = ready.masker.writer(out);
    loop {
        let bytes = tail.more()?;
        writer.write_all(&bytes)?;
        writer.flush()?;
        if bytes.is_empty() {
            if !follow || stop() {
                return writer.finish().map(|_| 0);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

fn command_output(home: &Home, ready: &Ready, line: &str, out: &mut dyn Write) -> io::Result<i32> {
    let folder = home.run(&ready.tool.slug);
    std::fs::create_dir_all(&folder)?;
    // Both of its outputs in one pipe, so that lines keep their order.
    let line = Line {
        line: &format!("exec 2>&1; {line}"),
        folder: &ready.tool.folder,
        environment: &ready.environment,
        log: &folder.join("logs.log"),
        masker: &ready.masker,
        timeout: None,
    };
    let mut child = line.piped(Stdio::null(), Stdio::piped())?;
    let mut writer = ready.masker.writer(out);
    let mut buffer = vec![0; 64 * 1024];
    let copied = loop {
        let read = child.stdout.as_mut().map_or(Ok(0), |output| output.read(&mut buffer));
        match read {
            Ok(0) => break writer.finish().map(drop),
            Ok(length) => {
                if let Err(error) =
                    writer.write_all(&buffer[..length]).and_then(|()| writer.flush())
                {
                    break Err(error);
                }
            }
            Err(error) => break Err(error),
        }
    };
    if copied.is_err() {
        let _ = child.kill();
    }
    let status = child.wait()?;
    copied.map(|()| spawn::code(status))
}
