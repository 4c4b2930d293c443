//! What a login runs: the user's shell, with or without a command line, or the server of files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use atelier_guest::wire::{ProcessConfig, Pty, PtySize, StartRequest};

/// Becomes the user's shell. The guest sets `SHELL` from the sandbox's users; an account that is
/// not meant for logins, or whose shell the image lacks, gets the plain one.
const BECOME_SHELL: &str = r#"case "$SHELL" in ""|*/nologin|*/false) SHELL=/bin/sh;; esac
[ -x "$SHELL" ] || SHELL=/bin/sh
export SHELL
"#;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// A shell to log in with.
    Shell,
    /// A line for the shell, as bytes.
    Line(Vec<u8>),
    /// The subsystem `sftp`.
    Sftp,
}

/// A terminal that a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terminal {
    pub(crate) kind: String,
    pub(crate) cols: u32,
    pub(crate) rows: u32,
}

/// The request to the guest.
pub(crate) fn request(
    what: &What,
    terminal: Option<&Terminal>,
    mut envs: BTreeMap<String, String>,
) -> StartRequest {
    // Files go over pipes whatever the client asked for before.
    let terminal = terminal.filter(|_| *what != What::Sftp);
    if let Some(kind) = terminal.map(|terminal| &terminal.kind).filter(|kind| !kind.is_empty()) {
        envs.insert("TERM".to_owned(), kind.clone());
    }
    let size = |it: &Terminal| Pty { size: PtySize { cols: it.cols, rows: it.rows } };
    StartRequest {
        process: process(what, envs),
        pty: terminal.map(size),
        stdin: Some(true),
        ..StartRequest::default()
    }
}

fn process(what: &What, envs: BTreeMap<String, String>) -> ProcessConfig {
    let shell = |script: String, more: &[&str]| ProcessConfig {
        cmd: "/bin/sh".to_owned(),
        args: ["-c", &script].iter().chain(more).map(ToString::to_string).collect(),
        ..ProcessConfig::default()
    };
    let config = match what {
        What::Shell => shell(format!("{BECOME_SHELL}exec \"$SHELL\" -l"), &[]),
        What::Line(line) => {
            let script = format!("{BECOME_SHELL}exec \"$SHELL\" -c \"$1\"");
            match std::str::from_utf8(line) {
                Ok(line) => shell(script, &["sh", line]),
                Err(_) => return of_bytes(&script, line, envs),
            }
        }
        // The guest's own binary, which is in every sandbox whatever its image holds.
        What::Sftp => ProcessConfig {
            cmd: "/proc/self/exe".to_owned(),
            args: vec!["sftp".to_owned()],
            ..ProcessConfig::default()
        },
    };
    ProcessConfig { envs, ..config }
}

/// A line that is no text. Bytes need a folder to start in, so the shell goes home by itself.
fn of_bytes(script: &str, line: &[u8], envs: BTreeMap<String, String>) -> ProcessConfig {
    use std::os::unix::ffi::OsStrExt;
    let script = format!("cd 2>/dev/null\n{script}");
    let line = PathBuf::from(std::ffi::OsStr::from_bytes(line));
    let args = ["-c".into(), script.into(), "sh".into(), line];
    ProcessConfig::of_bytes(Path::new("/bin/sh"), &args, envs, Path::new("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_word_for_the_shell() {
        let line = What::Line(b"echo \"a  b\"; exit 3".to_vec());
        let request = request(&line, None, BTreeMap::new());
        assert_eq!(request.process.args.last().unwrap(), "echo \"a  b\"; exit 3");
        assert!(request.pty.is_none() && request.process.raw.is_none());
    }

    #[test]
    fn a_line_that_is_no_text_arrives_as_it_is() {
        let request = request(&What::Line(vec![b'x', 0xff]), None, BTreeMap::new());
        assert_eq!(request.process.raw.unwrap().args.last().unwrap().0[..], [b'x', 0xff]);
    }

    #[test]
    fn a_terminal_brings_its_kind_and_files_need_none() {
        let terminal = Terminal { kind: "vt100".into(), cols: 80, rows: 25 };
        let shell = request(&What::Shell, Some(&terminal), BTreeMap::new());
        assert_eq!(shell.process.envs["TERM"], "vt100");
        assert_eq!(shell.pty.unwrap().size, PtySize { cols: 80, rows: 25 });
        assert!(request(&What::Sftp, Some(&terminal), BTreeMap::new()).pty.is_none());
    }
}
