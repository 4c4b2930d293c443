//! `runsc` on this machine: where it is, what its release can do, and what it is told of a sandbox that
//! runs. What a sandbox is made of is not known here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::command;

/// Ways to run that `runsc` knows, the better first: `ptrace` is slow, and what releases before 2023
/// have. Not `kvm`: on a machine that is a virtual one itself it may spin for ever.
const PLATFORMS: [&str; 2] = ["systrap", "ptrace"];
/// A platform that spins for ever instead of failing does not work either.
const TRIAL_LIMIT: Duration = Duration::from_secs(5);
/// What it says of itself takes some milliseconds.
const WORD_LIMIT: Duration = Duration::from_secs(5);
/// To stop or to go on is quick as well, but a machine may be busy.
const TURN_LIMIT: Duration = Duration::from_secs(30);
/// All of a sandbox's memory goes to the disk.
const SAVE_LIMIT: Duration = Duration::from_secs(600);
/// From this release on (a date) saving breaks no connection off, and needs no flag for it.
const KEEPS_CONNECTIONS: u32 = 20_251_201;
/// What mends one that is too old.
pub(super) const NEWER: &str = "install a newer runsc: from https://gvisor.dev/docs/user_guide/install, or on Debian 12 \
    from bookworm-backports ('apt install -t bookworm-backports runsc')";

/// The program, and what its release knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Runsc {
    program: PathBuf,
    /// As it says itself, such as `release-20240729.0`.
    release: String,
    /// Flags of every start.
    flags: Vec<String>,
    /// Flags of `checkpoint`.
    saving: Vec<String>,
    /// Whether it can save what runs.
    saves: bool,
}

impl Runsc {
    /// Looks for it, and asks what it knows.
    pub(super) fn find() -> Option<Self> {
        let program = atelier_vm::program("runsc", None)?;
        let says = |words: &[&str]| {
            let mut asked = Command::new(&program);
            asked.args(words);
            command::said_within(asked, WORD_LIMIT)
        };
        let (version, flags) = (says(&["--version"])?, says(&["flags"])?);
        let checkpoint = says(&["help", "checkpoint"])?;
        Some(Self::knowing(program, &version, &flags, &checkpoint))
    }

    /// Of what it says: its version, its flags, and the flags of `checkpoint`.
    fn knowing(program: PathBuf, version: &str, flags: &str, checkpoint: &str) -> Self {
        let has = |text: &str, flag: &str| {
            text.lines().any(|line| {
                line.trim_start().strip_prefix('-').is_some_and(|rest| {
                    rest.trim_start_matches('-').split_whitespace().next() == Some(flag)
                })
            })
        };
        let release = version.lines().next().and_then(|line| line.split_whitespace().last());
        let release = release.unwrap_or("unknown").to_owned();
        // Files that a sandbox changes must lie in the layer outside, where snapshots find them.
        let overlay = if has(flags, "overlay2") { "--overlay2=none" } else { "--overlay=false" };
        let mut starting = vec![overlay.to_owned()];
        let breaks = has(flags, "net-disconnect-ok");
        if breaks {
            starting.push("--net-disconnect-ok=true".to_owned());
        }
        // Memory is read back as it lies: unpacking takes longer than reading more.
        let wanted = [("compression", "=none"), ("exclude-committed-zero-pages", "")];
        let wanted = wanted.into_iter().filter(|(flag, _)| has(checkpoint, flag));
        let saving = wanted.map(|(flag, value)| format!("--{flag}{value}")).collect();
        let connections = breaks || date(&release) >= KEEPS_CONNECTIONS;
        let saves = connections && has(checkpoint, "leave-running");
        Self { program, release, flags: starting, saving, saves }
    }

    /// Why it can't save what runs, if it can't.
    pub(super) fn why_not(&self) -> Option<String> {
        (!self.saves).then(|| {
            format!(
                "its processes are in gVisor's kernel, and runsc {} can't save one that has \
                 connections or waits for them, which releases from 2024 on can",
                self.release
            )
        })
    }

    /// The first platform that runs a program here.
    pub(super) fn platform(&self) -> Option<&'static str> {
        PLATFORMS.into_iter().find(|platform| {
            let mut trial = Command::new(&self.program);
            trial.args(["--rootless", "--network=none", "--ignore-cgroups"]);
            trial.arg(format!("--platform={platform}")).args(["do", "/bin/true"]);
            command::succeeds_within(trial, TRIAL_LIMIT)
        })
    }

    /// The words of a start before its verb; what it notes is kept below `state`.
    pub(super) fn begin(&self, state: &Path, platform: &str) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec![self.program.clone().into(), "--root".into()];
        words.push(state.into());
        let fixed = ["--network=sandbox", "--ignore-cgroups", "--file-access=exclusive"];
        words.extend(fixed.map(OsString::from));
        words.extend(self.flags.iter().map(OsString::from));
        words.push(format!("--platform={platform}").into());
        words
    }

    /// Stops every process of a sandbox within gVisor's kernel, which itself goes on.
    pub(super) async fn pause(&self, sandbox: &Named<'_>) -> Result<(), String> {
        self.order(sandbox, &["pause"], TURN_LIMIT).await
    }

    /// Takes a pause back. None is fine.
    pub(super) async fn resume(&self, sandbox: &Named<'_>) -> Result<(), String> {
        let Err(why) = self.order(sandbox, &["resume"], TURN_LIMIT).await else { return Ok(()) };
        let mut asked = tokio::process::Command::new(&self.program);
        asked.arg("--root").arg(sandbox.state).args(["state", sandbox.id]);
        let state = command::said(asked, TURN_LIMIT).await.unwrap_or_default();
        let state: serde_json::Value = serde_json::from_str(&state).unwrap_or_default();
        if state["status"] == "running" { Ok(()) } else { Err(why) }
    }

    /// Saves a sandbox's processes and memory into the folder `into`. It goes on, or stays paused.
    pub(super) async fn checkpoint(&self, sandbox: &Named<'_>, into: &Path) -> Result<(), String> {
        let into = into.to_str().ok_or("its folder's name is no text")?;
        let mut words = vec!["checkpoint", "--leave-running", "--image-path", into];
        words.extend(self.saving.iter().map(String::as_str));
        self.order(sandbox, &words, SAVE_LIMIT).await
    }

    async fn order(
        &self,
        sandbox: &Named<'_>,
        words: &[&str],
        limit: Duration,
    ) -> Result<(), String> {
        let mut order = tokio::process::Command::new(&self.program);
        order.arg("--root").arg(sandbox.state).args(words).arg(sandbox.id);
        let said = command::said(order, limit).await;
        said.map(drop).map_err(|said| format!("runsc says: {}", reason(&said)))
    }
}

/// A sandbox by the names that `runsc` knows.
pub(super) struct Named<'a> {
    /// The folder in which it notes what runs.
    pub(super) state: &'a Path,
    /// The container.
    pub(super) id: &'a str,
}

/// The date in a release's name, as a number; none is before all.
fn date(release: &str) -> u32 {
    let numbers = release.split(|c: char| !c.is_ascii_digit());
    numbers.filter(|number| number.len() == 8).find_map(|n| n.parse().ok()).unwrap_or(0)
}

/// What it says went wrong, without where in its own code that was.
pub(super) fn reason(said: &str) -> String {
    let line =
        said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing");
    // The newest part comes last, after what was being done when it happened.
    let line = line.rsplit("encoding error: ").next().unwrap_or(line);
    let line = line.trim_end_matches(':');
    line.chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: &str, flags: &str, checkpoint: &str) -> Runsc {
        Runsc::knowing("/usr/bin/runsc".into(), version, flags, checkpoint)
    }

    #[test]
    fn what_a_release_knows_is_read_from_what_it_says() {
        let old = of(
            "runsc version 0.0~20221219.0\nspec: 1.0.2-dev\n",
            "  -overlay\n    \twrap filesystem mounts\n",
            "  -image-path string\n  -leave-running\n    \trestart\n",
        );
        assert_eq!(old.flags, ["--overlay=false"]);
        assert!(old.why_not().unwrap().contains("0.0~20221219.0"), "{old:?}");
        let new = of(
            "runsc version release-20240729.0\n",
            "  -overlay2 value\n  -net-disconnect-ok\n    \tIndicates\n",
            "  -compression value\n  -leave-running\n  -exclude-committed-zero-pages\n",
        );
        assert_eq!(new.flags, ["--overlay2=none", "--net-disconnect-ok=true"]);
        assert_eq!(new.saving, ["--compression=none", "--exclude-committed-zero-pages"]);
        assert_eq!(new.why_not(), None);
    }

    #[test]
    fn a_flag_that_is_not_needed_any_more_may_be_missing() {
        let newest =
            of("runsc version release-20260105.0\n", "  -overlay2 value\n", "  -leave-running\n");
        assert_eq!((newest.why_not(), newest.flags), (None, vec!["--overlay2=none".to_owned()]));
        let older =
            of("runsc version release-20230501.0\n", "  -overlay2 value\n", "  -leave-running\n");
        assert!(older.why_not().is_some());
    }

    #[test]
    fn its_reason_comes_without_its_stack() {
        let said = "checkpoint failed: checkpointing container \"a\": encoding error: gofer.dentry(\"x\").\
                    beforeSave: deleted and invalidated dentries can't be restored:\ngoroutine 80 [running]:\n";
        assert_eq!(
            reason(said),
            "gofer.dentry(\"x\").beforeSave: deleted and invalidated dentries can't be restored"
        );
        assert_eq!(reason("\n"), "it said nothing");
    }
}
