//! A command for a sandbox, in the words of its guest.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use atelier_client::guest::wire::{ProcessConfig, Pty, PtySize, StartRequest};

use crate::failure::Failure;
use crate::run::size;

/// Becomes the shell that the user has inside: theirs, else bash, else any.
const SHELL: &str = r#"for shell in "$SHELL" bash; do
  if [ -n "$shell" ] && command -v "$shell" >/dev/null 2>&1; then exec "$shell" -l; fi
done
exec sh -l"#;

/// What is to run inside.
#[derive(Debug, Default)]
pub(crate) struct Command {
    pub words: Vec<OsString>,
    pub variables: BTreeMap<String, String>,
    pub folder: Option<String>,
    pub terminal: bool,
    pub stdin: bool,
}

/// The words of a login shell.
pub(crate) fn login_shell() -> Vec<OsString> {
    ["/bin/sh", "-c", SHELL].map(OsString::from).to_vec()
}

impl Command {
    /// As the guest takes it.
    pub(crate) fn request(&self) -> Result<StartRequest, Failure> {
        let size = size();
        let size = PtySize { cols: size.columns.into(), rows: size.rows.into() };
        let mut process = self.process()?;
        process.envs.clone_from(&self.variables);
        if self.terminal
            && let Ok(name) = std::env::var("TERM")
        {
            process.envs.entry("TERM".to_owned()).or_insert(name);
        }
        Ok(StartRequest {
            process,
            pty: self.terminal.then_some(Pty { size }),
            stdin: Some(self.stdin),
            ..StartRequest::default()
        })
    }

    fn process(&self) -> Result<ProcessConfig, Failure> {
        let Some((program, arguments)) = self.words.split_first() else {
            return Err(Failure::usage("there is no command"));
        };
        let text = |word: &OsString| word.to_str().map(str::to_owned);
        let all: Option<Vec<String>> = arguments.iter().map(text).collect();
        if let (Some(cmd), Some(args)) = (text(program), all) {
            return Ok(ProcessConfig { cmd, args, cwd: self.folder.clone(), ..Default::default() });
        }
        let folder = self.folder.as_deref().filter(|folder| folder.starts_with('/'));
        let folder = folder.ok_or_else(|| {
            Failure::usage("a word is not UTF-8; name the folder to start in with -w /FOLDER")
        })?;
        let arguments: Vec<_> = arguments.iter().map(PathBuf::from).collect();
        let nothing = BTreeMap::new();
        Ok(ProcessConfig::of_bytes(Path::new(program), &arguments, nothing, Path::new(folder)))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn words_are_kept_as_they_are() {
        let words = vec!["ls".into(), "-l".into(), "a b".into()];
        let request = Command { words, ..Command::default() }.request().unwrap();
        assert_eq!((request.process.cmd.as_str(), request.stdin), ("ls", Some(false)));
        assert_eq!(request.process.args, ["-l", "a b"]);
        assert!(request.pty.is_none() && request.process.raw.is_none());
    }

    #[test]
    fn words_that_are_no_text_travel_as_bytes() {
        let words = vec!["cat".into(), OsString::from_vec(vec![0xff])];
        let folder = Some("/tmp".to_owned());
        let command = Command { words, folder, ..Command::default() };
        let raw = command.request().unwrap().process.raw.unwrap();
        assert_eq!(&*raw.args[0].0, [0xff]);
        assert!(Command { folder: None, ..command }.request().is_err());
    }
}
