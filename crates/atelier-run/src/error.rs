//! Failures of the joined parts. Each part's own error passes through as the problem it is.

use atelier_api::{ExitCode, Name, Problem};

/// There is no such environment; the ones that there are become a hint.
pub(crate) fn no_environment(name: &Name, project: &str, there: &[String]) -> Problem {
    let detail = format!("the project {project} has no environment {name}");
    let problem = Problem::new("env.not_found", ExitCode::NotFound, detail);
    if there.is_empty() {
        return problem.hint(format!("make it: atelier env create {name}"));
    }
    problem.hint(format!("there are: {}", there.join(", ")))
}

/// There is one already.
pub(crate) fn exists(name: &Name, project: &str) -> Problem {
    let detail = format!("the project {project} has an environment {name} already");
    Problem::new("env.exists", ExitCode::Conflict, detail)
        .hint(format!("use it: atelier run {name} -- COMMAND"))
        .hint(format!("or remove it first: atelier env rm {name}"))
}

/// Somebody else is changing it at this moment.
pub(crate) fn busy(name: &Name, doing: &str) -> Problem {
    let detail = format!("the environment {name} is {doing} at this moment");
    Problem::new("env.busy", ExitCode::Conflict, detail).hint("try again in a moment")
}

/// Commands run in it.
pub(crate) fn in_use(name: &Name, commands: &[String]) -> Problem {
    let detail = format!("commands run in the environment {name}: {}", commands.join(", "));
    Problem::new("env.in_use", ExitCode::Conflict, detail)
        .hint(format!("end them with 'atelier env stop {name}', or remove it with --force"))
}

/// The init command failed; the environment was taken back.
pub(crate) fn init_failed(command: &str, code: i32, said: &str) -> Problem {
    let detail = format!("the init command of atelier.yaml ended with {code}: {command}");
    let problem = Problem::new("env.init_failed", ExitCode::Failed, detail)
        .hint("the environment was taken back; mend the command and try again");
    if said.is_empty() { problem } else { problem.hint(format!("it said last: {said}")) }
}

/// A panic in a task of ours: a defect, said as one.
pub(crate) fn broken(error: &tokio::task::JoinError) -> Problem {
    Problem::new(
        "internal",
        ExitCode::Failed,
        format!("a task of the control plane ended: {error}"),
    )
    .hint("this is a defect of Atelier; serve.log says where")
}

/// Sandboxes of images do not see this machine's files, and an environment is made of them.
pub(crate) fn image_runtime(runtime: &str) -> Problem {
    Problem::new(
        "env.runtime",
        ExitCode::Configuration,
        format!("an environment can't run on {runtime}: its sandboxes see an image's files only"),
    )
    .hint("use the runtime host here, and 'atelier sandbox create' for the others")
}
