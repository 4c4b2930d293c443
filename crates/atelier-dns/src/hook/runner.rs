//! The one place where commands of the system are run.

use std::fmt::Debug;
use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Whether it ended with 0.
    pub success: bool,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

/// Runs commands of the system.
pub trait Runner: Debug + Send + Sync {
    /// Runs one, without a shell, to its end.
    ///
    /// # Errors
    /// When it can't be started or does not end.
    fn run(&self, command: &[String]) -> io::Result<Output>;
}

/// The real thing, with a time limit.
#[derive(Debug, Clone, Copy)]
pub struct Commands {
    /// How long a command may take.
    pub limit: Duration,
}

impl Default for Commands {
    fn default() -> Self {
        Self { limit: Duration::from_secs(30) }
    }
}

impl Runner for Commands {
    fn run(&self, command: &[String]) -> io::Result<Output> {
        let [program, arguments @ ..] = command else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut child = Command::new(program)
            .args(arguments)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // Read beside waiting: a command that prints more than a pipe holds would never end.
        let stdout = child.stdout.take().map(|pipe| std::thread::spawn(|| text(pipe)));
        let stderr = child.stderr.take().map(|pipe| std::thread::spawn(|| text(pipe)));
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if begin.elapsed() > self.limit {
                child.kill()?;
                child.wait()?;
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let join = |reader: Option<std::thread::JoinHandle<String>>| {
            reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
        };
        Ok(Output { success: status.success(), stdout: join(stdout), stderr: join(stderr) })
    }
}

fn text(mut pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    // What could be read is what there is to show.
    let _ = pipe.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(limit: u64, command: &[&str]) -> io::Result<Output> {
        let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        Commands { limit: Duration::from_secs(limit) }.run(&command)
    }

    #[test]
    fn a_command_says_how_it_ended_and_what_it_printed() {
        let output = run(30, &["sh", "-c", "echo out; echo no >&2; exit 3"]).unwrap();
        assert_eq!(
            output,
            Output { success: false, stdout: "out\n".into(), stderr: "no\n".into() }
        );
        assert!(run(30, &["/nowhere/at/all"]).is_err());
    }

    #[test]
    fn a_command_that_does_not_end_is_ended() {
        let error = run(0, &["sleep", "60"]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
