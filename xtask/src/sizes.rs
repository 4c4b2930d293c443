//! One file, one room: every module says what lives in it, and none grows beyond reading.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// More lines than this need another file.
const LONGEST_FILE: usize = 500;
/// More lines of source than this need another crate; tests in a folder of their own don't count.
const LARGEST_CRATE: usize = 10_000;
/// The command line is wide, not deep: a file for each verb, which call nothing but the API.
const LARGEST_COMMAND_LINE: usize = 18_000;

/// Files and crates that are too long, modules that don't say what they are.
pub fn check() -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let mut crates = std::collections::BTreeMap::<PathBuf, usize>::new();
    for file in sources()? {
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let lines = text.lines().count();
        let is_module = file.components().any(|c| c.as_os_str() == "src");
        if is_module {
            let krate: PathBuf = file.components().take(2).collect();
            *crates.entry(krate).or_default() += lines;
        }
        if lines > LONGEST_FILE {
            findings
                .push(format!("{} has {lines} lines, more than {LONGEST_FILE}", file.display()));
        }
        if is_module && !text.starts_with("//!") {
            findings.push(format!("{} does not open with what lives in it (//!)", file.display()));
        }
        if text.contains("std::process::Command") && !spawns(&file) {
            findings.push(format!(
                "{} spawns processes; see the list in xtask/src/sizes.rs",
                file.display()
            ));
        }
    }
    for (name, lines) in crates {
        let most = if name.ends_with("atelier-cli") { LARGEST_COMMAND_LINE } else { LARGEST_CRATE };
        if lines > most {
            findings.push(format!("{} has {lines} lines, more than {most}", name.display()));
        }
    }
    Ok(findings)
}

/// Processes are spawned in these rooms only, and in tests.
fn spawns(file: &Path) -> bool {
    const ROOMS: &[&str] = &[
        "crates/atelier-sandbox/src/cgroup/scope.rs",
        "crates/atelier-sandbox/src/command.rs",
        "crates/atelier-sandbox/src/disk.rs",
        "crates/atelier-sandbox/src/process.rs",
        "crates/atelier-sandbox/src/repository.rs",
        "crates/atelier-sandbox/src/runtimes/",
        "crates/atelier-sandbox/build.rs",
        "crates/atelier-image/src/command.rs",
        "crates/atelier-vm/src/",
        "crates/atelier-e2b/src/builds/copy.rs",
        "crates/atelier-environment/src/git/",
        "crates/atelier-cli/src/spawn.rs",
        "crates/atelier-cli/src/commands/tool/become_it.rs",
        "crates/atelier-cli/src/default_name.rs",
        "crates/atelier-client/src/start.rs",
        "crates/atelier-far/src/",
        "crates/atelier-mcp/src/child.rs",
        "crates/atelier-guest/src/server/process/",
        "crates/atelier-toolrun/src/lifecycle/spawn.rs",
        "crates/atelier-tools/src/process.rs",
        "crates/atelier-testing/",
        "xtask/",
    ];
    let path = file.to_string_lossy();
    path.starts_with("tests/")
        || path.contains("/tests/")
        || path.contains("/benches/")
        || ROOMS.iter().any(|r| path.starts_with(r))
}

fn sources() -> Result<Vec<PathBuf>> {
    let output = Command::new("git").args(["ls-files", "-z", "*.rs"]).output().context("git")?;
    let text = String::from_utf8(output.stdout).context("file names")?;
    Ok(text
        .split('\0')
        .filter(|p| !p.is_empty())
        .map(PathBuf::from)
        .filter(|p| p.exists())
        .collect())
}
