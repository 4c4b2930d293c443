//! `atelier env diff`: what an environment changed.

use atelier_api::env::{Diff, EnvDiff, EnvDiffInput, FileStatus};
use atelier_api::{ExitCode, Problem};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;

use crate::args::EnvArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Paint, count, print, print_json, visible};

/// Arguments of `atelier env diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    pub env: EnvArg,
    /// Only how much changed in each file
    #[arg(long, conflicts_with = "name_only")]
    pub stat: bool,
    /// Only the names of changed files
    #[arg(long)]
    pub name_only: bool,
    /// Files that git ignores as well
    #[arg(short, long)]
    pub all: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows it.
pub(crate) fn run(args: &DiffArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let reference = args.env.reference(context)?;
    let input = EnvDiffInput {
        env: reference.env,
        project: reference.project,
        all: args.all,
        stat: args.stat || args.name_only,
    };
    let plane = context.control_plane()?;
    let diff = context.wait(async { Ok(plane.call::<EnvDiff>(&input).await?) })?;
    let paint = Paint::stdout();
    if args.json {
        print_json(&diff)?;
    } else if args.name_only {
        print(names(&diff))?;
    } else if args.stat {
        print(stat(&diff, paint))?;
    } else {
        print(coloured(patch(&diff)?, paint))?;
    }
    Ok(0)
}

/// Paths as bytes: they are for other programs to read.
fn names(diff: &Diff) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    let mut names = Vec::new();
    for file in &diff.files {
        names.extend_from_slice(file.path.as_path().as_os_str().as_bytes());
        names.push(b'\n');
    }
    names
}

fn stat(diff: &Diff, paint: Paint) -> String {
    let paths: Vec<_> =
        diff.files.iter().map(|f| visible(&f.path.as_path().to_string_lossy())).collect();
    let width = paths.iter().map(|path| path.chars().count()).max().unwrap_or(0);
    let (mut added, mut removed) = (0, 0);
    let mut text = String::new();
    for (file, path) in diff.files.iter().zip(&paths) {
        added += file.insertions;
        removed += file.deletions;
        let amount = if file.binary {
            "binary".to_owned()
        } else {
            let plus = paint.green(&format!("+{}", file.insertions));
            format!("{plus} {}", paint.red(&format!("-{}", file.deletions)))
        };
        let status = status(file.status);
        text.push_str(&format!("{status} {path:<width$}  {amount}\n"));
    }
    let files = count(diff.files.len(), "file");
    text.push_str(&format!("{files} changed, {added} added, {removed} removed\n"));
    text
}

const fn status(status: FileStatus) -> char {
    match status {
        FileStatus::Added => 'A',
        FileStatus::Modified => 'M',
        FileStatus::Deleted => 'D',
        FileStatus::Mode => 'm',
        FileStatus::Type => 'T',
    }
}

fn patch(diff: &Diff) -> Result<Vec<u8>, Failure> {
    let text = diff.patch_base64.as_deref().unwrap_or_default();
    BASE64_STANDARD.decode(text).map_err(|e| {
        let detail = format!("the control plane's patch cannot be read: {e}");
        Problem::new("control_plane.protocol", ExitCode::Failed, detail).into()
    })
}

/// The patch in colours. Without them it stays byte for byte what `git apply` takes.
fn coloured(patch: Vec<u8>, paint: Paint) -> Vec<u8> {
    if !paint.is_on() {
        return patch;
    }
    let mut text = Vec::with_capacity(patch.len() * 2);
    let mut in_head = false;
    for line in patch.split_inclusive(|b| *b == b'\n') {
        in_head = line.starts_with(b"diff ") || (in_head && !line.starts_with(b"@@"));
        let colour: &[u8] = match line.first() {
            _ if in_head => b"\x1b[1m",
            Some(b'+') => b"\x1b[32m",
            Some(b'-') => b"\x1b[31m",
            Some(b'@') => b"\x1b[36m",
            _ => b"",
        };
        let bare = line.strip_suffix(b"\n").unwrap_or(line);
        text.extend_from_slice(colour);
        text.extend_from_slice(bare);
        if !colour.is_empty() {
            text.extend_from_slice(b"\x1b[0m");
        }
        text.extend_from_slice(&line[bare.len()..]);
    }
    text
}

#[cfg(test)]
mod tests {
    use atelier_api::env::FileChange;

    use super::*;

    #[test]
    fn colours_tell_lines_from_heads() {
        let patch =
            b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n same".to_vec();
        let text = String::from_utf8(coloured(patch.clone(), Paint::always())).unwrap();
        assert!(text.contains("\x1b[1m--- a/x\x1b[0m\n"), "{text}");
        assert!(text.contains("\x1b[31m-old\x1b[0m\n\x1b[32m+new\x1b[0m\n same"), "{text}");
        assert_eq!(coloured(patch.clone(), Paint::plain()), patch);
    }

    #[test]
    fn the_summary_adds_up() {
        let file = |path: &str, insertions, binary| FileChange {
            path: path.into(),
            status: FileStatus::Modified,
            insertions,
            deletions: 1,
            binary,
        };
        let diff =
            Diff { files: vec![file("a", 2, false), file("bin", 0, true)], patch_base64: None };
        let text = stat(&diff, Paint::plain());
        assert_eq!(text, "M a    +2 -1\nM bin  binary\n2 files changed, 2 added, 2 removed\n");
    }
}
