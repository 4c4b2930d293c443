//! This process becomes another program: its terminal, its input, its signals and its exit code are
//! that program's own.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use atelier_api::{ExitCode, Problem};
use atelier_toolrun::lifecycle::Exec;

use crate::failure::Failure;

/// Becomes a program with this process's own environment; gives why it can't.
pub(super) fn replace(program: &Path, args: &[String]) -> Failure {
    let error = Command::new(program).args(args).exec();
    failed(program, &error)
}

fn failed(program: &Path, error: &io::Error) -> Failure {
    let detail = format!("{} cannot be executed: {error}", program.display());
    Problem::new("tool.exec", ExitCode::Engine, detail).into()
}

/// Becomes the program; gives why it can't.
pub(super) fn become_it(exec: &Exec) -> Failure {
    let mut command = Command::new(&exec.program);
    command.args(&exec.arguments).env_clear().envs(&exec.environment);
    if let Some(folder) = &exec.folder {
        command.current_dir(folder);
    }
    failed(&exec.program, &command.exec())
}
