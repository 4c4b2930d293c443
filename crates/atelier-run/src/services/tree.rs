//! An environment's workspace as a folder of this machine, so that a container engine can bind it and
//! build from it: the layers, mounted once; the sandbox then shows that mount instead of one of its own,
//! since two overlays on one upper layer would spoil it.

use std::io;
use std::path::{Path, PathBuf};

use atelier_api::{ExitCode, Problem};
use atelier_environment::{Mode, Workspace};
use nix::mount::{MntFlags, umount2};

use crate::record::Record;

/// The folder's name in the sandbox's folder.
const NAME: &str = "tree";

/// Where the workspace of a sandbox's folder is shown.
pub(crate) fn place(folder: &Path, workspace: &Workspace) -> PathBuf {
    match &workspace.mode {
        Mode::Overlay { .. } => folder.join(NAME),
        Mode::Copy { tree, .. } => tree.clone(),
    }
}

/// Shows it, unless it is shown; a reboot takes mounts away.
///
/// # Errors
/// When the overlay can't be mounted.
pub(crate) fn show(folder: &Path, workspace: &Workspace) -> io::Result<PathBuf> {
    let at = place(folder, workspace);
    let Mode::Overlay { upper, work } = &workspace.mode else { return Ok(at) };
    std::fs::create_dir_all(&at)?;
    if !mounted(&at)? {
        let lowers: Vec<&Path> = workspace.lowers.iter().map(PathBuf::as_path).collect();
        atelier_launch::parts::overlay(&at, &lowers, upper, work)?;
    }
    Ok(at)
}

/// Takes it away; whoever has it open keeps it for as long.
///
/// # Errors
/// When it can't be unmounted.
pub(crate) fn hide(folder: &Path) -> io::Result<()> {
    let at = folder.join(NAME);
    while at.exists() && mounted(&at)? {
        umount2(&at, MntFlags::MNT_DETACH)?;
    }
    Ok(())
}

/// Whether something is mounted there: its device is not its folder's.
fn mounted(at: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let parent = at.parent().unwrap_or(at);
    Ok(std::fs::metadata(at)?.dev() != std::fs::metadata(parent)?.dev())
}

/// The environment was made without services, so nothing outside its sandbox sees its files.
pub(crate) fn not_shown(record: &Record) -> Problem {
    let detail = format!(
        "{} was made when its project had no services: a container engine can't see its files",
        record.label()
    );
    Problem::new("env.not_shown", ExitCode::Conflict, detail)
        .hint(format!("bring its changes back: atelier env apply {}", record.name))
        .hint(format!("then make it anew: atelier env recreate {}", record.name))
}

pub(crate) fn unmountable(record: &Record, error: &io::Error) -> Problem {
    let detail =
        format!("the workspace of {} can't be shown to the engine: {error}", record.label());
    Problem::new("env.not_shown", ExitCode::Engine, detail)
        .hint("see what this machine lacks: atelier doctor")
}
