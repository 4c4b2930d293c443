//! Kept processes from outside: started through a keeper, found again, ended.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use atelier_api::Problem;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::environment::outside;
use super::error::{Error, Result};
use super::keep::{Kept, log_file};
use super::processes::{Process, Stat, of_services};
use super::spawn;
use super::tool::{Manner, Tool};
use crate::secrets::Masker;
use crate::{Home, Slug};

/// A keeper gives its process ten seconds.
const KEEPER: Duration = Duration::from_secs(15);
/// What a keeper left behind gets.
const REST: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);
/// A process that ends within this time has not started.
const AT_ONCE: Duration = Duration::from_millis(300);

/// Starts the process of a tool through a keeper. Processes of it without a keeper are ended first: their
/// keeper was killed, and nobody reads what they say.
pub(crate) fn start(home: &Home, tool: &Tool, manner: &Manner<'_>) -> Result<()> {
    end_marked(home, &tool.slug)?;
    let mut environment = outside(manner);
    let above = home.root().parent().unwrap_or(home.root());
    environment.insert("ATELIER_HOME".into(), above.into());
    let program =
        || manner.keeper.first().map_or_else(String::new, |p| p.to_string_lossy().into_owned());
    let failed = |source| Error::Program { program: program(), source };
    let mut keeper = spawn::keeper(&manner.keeper, tool.slug.as_str(), &environment, &tool.folder)
        .map_err(failed)?;
    let mut line = String::new();
    if let Some(output) = keeper.stdout.take() {
        let _ = BufReader::new(output).read_line(&mut line);
    }
    // Whoever lives longer than its keeper would keep a zombie of it.
    std::thread::spawn(move || keeper.wait());
    match line.trim_end().split_once(' ') {
        Some(("started", _)) => lasts(home, tool),
        Some(("failed", problem)) => Err(told(tool, problem)),
        _ if line.trim_end() == "already" => Ok(()),
        _ => Err(failed(std::io::Error::other("it ended without a word"))),
    }
}

/// What a keeper could not do, as it told it.
fn told(tool: &Tool, problem: &str) -> Error {
    let problem: Option<Problem> = serde_json::from_str(problem).ok();
    let (why, exit, hints) = match problem {
        Some(problem) => (problem.detail.clone(), problem.exit_code(), problem.hints),
        None => (problem_less(), atelier_api::ExitCode::Failed, Vec::new()),
    };
    Error::Plugin { slug: tool.slug.to_string(), why, exit, hints }
}

fn problem_less() -> String {
    "it could not be started".to_owned()
}

/// Looks whether it is still there a moment later.
fn lasts(home: &Home, tool: &Tool) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < AT_ONCE {
        let kept = Kept::load(home, &tool.slug);
        if let Some(code) = kept.filter(|kept| kept.child.is_none()).and_then(|kept| kept.ended) {
            let said = spawn::last_lines(&log_file(home, &tool.slug), &Masker::default(), 20);
            return Err(Error::Ended { slug: tool.slug.to_string(), code, said });
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Ends a kept process, its keeper, and whatever else its environment says is of this service.
pub(crate) fn stop(home: &Home, slug: &Slug) -> Result<()> {
    if let Some(kept) = Kept::load(home, slug)
        && kept.keeper.lives()
    {
        signal(&kept.keeper, Signal::SIGTERM);
        let deadline = Instant::now() + KEEPER;
        while kept.keeper.lives() && Instant::now() < deadline {
            std::thread::sleep(PAUSE);
        }
        signal(&kept.keeper, Signal::SIGKILL);
    }
    end_marked(home, slug)
}

/// Ends what runs with the mark of a tool's service.
pub(crate) fn end_marked(home: &Home, slug: &Slug) -> Result<()> {
    let marked = || -> Vec<Process> {
        let all = of_services(home).into_iter();
        all.filter(|(of, _)| of == slug).map(|(_, stat)| stat.process).collect()
    };
    for (how, patience) in [(Signal::SIGTERM, REST), (Signal::SIGKILL, REST)] {
        let deadline = Instant::now() + patience;
        loop {
            let left = marked();
            if left.is_empty() {
                return Ok(());
            }
            for process in &left {
                signal(process, how);
            }
            let some = |left: &[Process]| left.iter().any(Process::lives);
            while some(&left) && Instant::now() < deadline {
                std::thread::sleep(PAUSE);
            }
            if Instant::now() >= deadline {
                break;
            }
        }
    }
    let left: Vec<String> = marked().iter().map(|process| process.pid.to_string()).collect();
    let why = format!("process {}", left.join(", "));
    Err(Error::StillRuns { slug: slug.to_string(), why })
}

/// Sends a signal to a process that is still the same.
fn signal(process: &Process, how: Signal) {
    if process.lives() {
        let _ = kill(Pid::from_raw(process.pid), how);
    }
}

/// The roots of what runs for a tool: the kept process, or whatever has its mark.
pub(crate) fn roots(home: &Home, slug: &Slug, marked: &[(Slug, Stat)]) -> Vec<i32> {
    let kept = Kept::load(home, slug).and_then(|kept| kept.child).filter(Process::lives);
    let others = marked.iter().filter(|(of, _)| of == slug).map(|(_, stat)| stat.process.pid);
    kept.iter().map(|process| process.pid).chain(others).collect()
}
