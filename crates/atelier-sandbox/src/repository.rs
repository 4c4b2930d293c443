//! The files of a template: a git repository or a folder, packed as one archive.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use atelier_api::{ExitCode, Problem};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio::process::Command;

/// What was fetched.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// A tar archive, removed with this value.
    pub(crate) archive: NamedTempFile,
    /// The commit, or a digest of the archive.
    pub(crate) version: String,
}

/// Packs the repository `place` at `reference`, or the folder `place` as it is.
pub(crate) async fn fetch(
    place: &str,
    reference: Option<&str>,
    scratch: &Path,
) -> Result<Fetched, Problem> {
    std::fs::create_dir_all(scratch).map_err(|e| failed(place, &e))?;
    let archive = NamedTempFile::new_in(scratch).map_err(|e| failed(place, &e))?;
    let folder = PathBuf::from(place);
    if folder.is_absolute() && folder.is_dir() && reference.is_none() {
        tar(&folder, archive.path()).await?;
        let bytes = std::fs::read(archive.path()).map_err(|e| failed(place, &e))?;
        let digest = Sha256::digest(&bytes);
        let version = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        return Ok(Fetched { archive, version });
    }
    let clone = tempfile::tempdir_in(scratch).map_err(|e| failed(place, &e))?;
    let version = checkout(place, reference.unwrap_or("HEAD"), clone.path()).await?;
    tar(clone.path(), archive.path()).await?;
    Ok(Fetched { archive, version })
}

/// A checkout without history, and its commit.
async fn checkout(place: &str, reference: &str, into: &Path) -> Result<String, Problem> {
    git(into, &["init", "--quiet"]).await?;
    // After `--` nothing is an option, whatever the user wrote.
    git(into, &["fetch", "--quiet", "--depth", "1", "--", place, reference]).await?;
    git(into, &["checkout", "--quiet", "--detach", "FETCH_HEAD"]).await?;
    git(into, &["remote", "add", "origin", "--", place]).await?;
    Ok(git(into, &["rev-parse", "HEAD"]).await?.trim().to_owned())
}

async fn git(folder: &Path, arguments: &[&str]) -> Result<String, Problem> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(["-c", "protocol.ext.allow=never"]).args(arguments);
    command.env("GIT_TERMINAL_PROMPT", "0");
    run(command, "git").await
}

async fn tar(folder: &Path, archive: &Path) -> Result<(), Problem> {
    let mut command = Command::new("tar");
    command.args(["--sort=name", "--numeric-owner", "--owner=0", "--group=0", "-c", "-f"]);
    command.arg(archive).arg("-C").arg(folder).arg(".");
    run(command, "tar").await.map(drop)
}

async fn run(mut command: Command, program: &str) -> Result<String, Problem> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.map_err(|e| failed(program, &e).hint(format!("install {program}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Problem::new(
        "template.repository",
        ExitCode::Git,
        format!("{program} failed: {}", said.trim()),
    ))
}

fn failed(what: &str, error: &std::io::Error) -> Problem {
    Problem::new("template.repository", ExitCode::Failed, format!("{what} can't be used: {error}"))
}
