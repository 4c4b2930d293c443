//! The keeper of a process: a small process of ours that starts it, writes its log without secrets and
//! with a limit of size, starts it again where the plugin says so, and ends it when it is told to.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use atelier_api::Problem;
use atelier_files::whole;
use atelier_plugin::Restart;
use jiff::Timestamp;
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::environment::{Environment, SERVICE, environment};
use super::error::{Error, Result};
use super::log::Rotating;
use super::processes::{self, Process};
use super::spawn;
use super::tool::{Manner, Tool};
use crate::secrets::{self, ATK_PLUGIN_DIR, Masker, Purpose, TOOL_DIR, Variables};
use crate::{Home, OfFile as _, Slug};

/// From the request to end until the process is killed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Before it is started again; doubled each time it does not last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A process that ran so long had started well.
const LASTED: Duration = Duration::from_secs(60);

/// What a keeper notes of what it keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The boot of the machine: a process id of another boot means nothing.
    pub boot: String,
    /// The keeper.
    pub keeper: Process,
    /// What it keeps, unless that has ended.
    pub child: Option<Process>,
    /// Since when that runs.
    pub since: Timestamp,
    /// How often it was started again.
    pub restarts: u32,
    /// How it ended the last time.
    pub ended: Option<i32>,
}

impl Kept {
    pub(crate) fn load(home: &Home, slug: &Slug) -> Option<Self> {
        let bytes = fs::read(home.run(slug).join("service.json")).ok()?;
        let kept: Self = serde_json::from_slice(&bytes).ok()?;
        (kept.boot == boot()).then_some(kept)
    }

    fn save(&self, folder: &Path) -> io::Result<()> {
        whole::replace(&folder.join("service.json"), &serde_json::to_vec(self)?, whole::PRIVATE)
    }
}

fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// The log of a kept process.
pub(crate) fn log_file(home: &Home, slug: &Slug) -> PathBuf {
    home.run(slug).join("log")
}

/// What a keeper hears.
enum Heard {
    Ended(i32),
    Stop,
}

/// Keeps the process of a tool until it has ended for good or somebody ends this process. `ready` is told
/// in one line whether it runs: whoever started this waits for that.
///
/// # Errors
/// The same that `ready` is told.
pub fn keep(home: &Home, slug: &Slug, caller: Environment, ready: &mut dyn Write) -> Result<i32> {
    let told = begin(home, slug, caller);
    let line = match &told {
        Ok(Some(kept)) => format!("started {}\n", kept.pid()),
        Ok(None) => "already\n".to_owned(),
        Err(error) => {
            format!(
                "failed {}\n",
                serde_json::to_string(&Problem::from_fault(error)).unwrap_or_default()
            )
        }
    };
    // Whoever waited may have gone.
    let _ = ready.write_all(line.as_bytes()).and_then(|()| ready.flush());
    match told? {
        Some(keeper) => keeper.run(),
        None => Ok(0),
    }
}

trait FromFault {
    fn from_fault(error: &Error) -> Problem;
}

impl FromFault for Problem {
    fn from_fault(error: &Error) -> Problem {
        use atelier_api::Fault;
        error.problem()
    }
}

fn begin(home: &Home, slug: &Slug, caller: Environment) -> Result<Option<Keeper>> {
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
    // Blocked before there is a second thread, so that all of them leave it to the one that waits.
    signals.thread_block().map_err(|e| Error::file("started", "keeper")(e.into()))?;
    // Fails for the leader of a group, which is away from the terminal already.
    let _ = rustix::process::setsid();
    let tool = Tool::load(home, slug)?;
    let folder = tool.run_folder(home)?;
    let path = folder.join("keeper.lock");
    let lock = File::options().create(true).append(true).open(&path);
    let lock = lock.map_err(Error::file("opened", &path))?;
    if lock.try_lock().is_err() {
        return Ok(None);
    }
    let silent = |_: &super::tool::Happening| {};
    let manner = Manner {
        environment: caller,
        keeper: Vec::new(),
        program: PathBuf::new(),
        engine: None,
        progress: &silent,
    };
    let around = |name: &str| manner.variable(name);
    let variables = secrets::resolve(home, slug, &tool.plugin, Purpose::Service, around)?;
    variables.check()?;
    let environment = environment(home, &tool, &manner, &variables, SERVICE);
    let (sender, heard) = mpsc::channel();
    let mut keeper = Keeper {
        words: words(&tool, &variables)?,
        restart: tool.plugin.service.as_ref().map_or(Restart::Never, |service| service.restart),
        masker: variables.masker(),
        log: log_file(home, slug),
        tool,
        folder,
        environment,
        sender,
        heard,
        kept: None,
        _lock: lock,
    };
    keeper.listen(signals);
    keeper.start(0)?;
    Ok(Some(keeper))
}

/// Program and arguments. A plugin that gives only a command line has it run by a shell.
fn words(tool: &Tool, variables: &Variables) -> Result<Vec<String>> {
    let given = tool.plugin.service.as_ref().map(|service| service.command.clone());
    let given = given.unwrap_or_default();
    if given.is_empty() {
        let Some(line) = &tool.plugin.lifecycle.start else {
            return Err(Error::NoCommand {
                slug: tool.slug.to_string(),
                verb: "start",
                reason: "its service has no command either".to_owned(),
            });
        };
        return Ok(["/bin/sh", "-c", line].map(str::to_owned).to_vec());
    }
    let folder = tool.folder.to_string_lossy();
    let lookup = |name: &str| match name {
        ATK_PLUGIN_DIR | TOOL_DIR => Some(folder.clone().into_owned()),
        // Every user of the machine can read arguments: a secret is in the environment alone.
        _ => {
            let value = variables.values.get(name).filter(|value| !value.secret)?;
            Some(value.text.expose().to_owned())
        }
    };
    Ok(given.iter().map(|word| secrets::substitute(word, lookup)).collect())
}

struct Keeper {
    tool: Tool,
    words: Vec<String>,
    restart: Restart,
    environment: Environment,
    masker: Masker,
    folder: PathBuf,
    log: PathBuf,
    sender: Sender<Heard>,
    heard: Receiver<Heard>,
    kept: Option<Kept>,
    _lock: File,
}

impl Keeper {
    fn pid(&self) -> i32 {
        self.kept.as_ref().and_then(|kept| kept.child).map_or(0, |child| child.pid)
    }

    fn listen(&self, signals: SigSet) {
        let sender = self.sender.clone();
        std::thread::spawn(move || {
            while signals.wait().is_ok() {
                let _ = sender.send(Heard::Stop);
            }
        });
    }

    fn start(&mut self, restarts: u32) -> Result<()> {
        let spawned = spawn::kept(&self.words, &self.tool.folder, &self.environment);
        let program = self.words[0].clone();
        let mut child = spawned.map_err(|source| Error::Program { program, source })?;
        let pid = i32::try_from(child.id()).unwrap_or_default();
        let own = i32::try_from(std::process::id()).unwrap_or_default();
        let own = Process::now(own).unwrap_or(Process { pid: own, start: 0 });
        let ended = self.kept.as_ref().and_then(|kept| kept.ended);
        // It may be a zombie by now; `Stat` still knows when it began.
        let child_process = processes::Stat::of(pid).map(|stat| stat.process);
        let kept = Kept {
            boot: boot(),
            keeper: own,
            child: child_process.or(Some(Process { pid, start: 0 })),
            since: Timestamp::now(),
            restarts,
            ended,
        };
        let saved = kept.save(&self.folder).map_err(Error::file("written", &self.folder));
        self.kept = Some(kept);
        if saved.is_err() {
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
            let _ = child.wait();
            return saved;
        }
        self.write_log(&mut child);
        let sender = self.sender.clone();
        std::thread::spawn(move || {
            let code = child.wait().map_or(1, spawn::code);
            let _ = sender.send(Heard::Ended(code));
        });
        Ok(())
    }

    /// What it says goes to the log, masked, as long as anybody holds the other end.
    fn write_log(&self, child: &mut Child) {
        let (masker, path) = (self.masker.clone(), self.log.clone());
        let Some(mut output) = child.stdout.take() else { return };
        std::thread::spawn(move || {
            let log = Rotating::open(&path);
            let mut writer = log.ok().map(|log| masker.writer(log));
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                // A full disk must not end the service: what cannot be written is lost.
                if let Some(writer) = &mut writer {
                    let _ = writer.write_all(&buffer[..length]);
                }
            }
            writer.map(secrets::MaskingWriter::finish)
        });
    }

    fn run(mut self) -> Result<i32> {
        let (mut pause, mut restarts) = (FIRST_PAUSE, 0);
        loop {
            let begun = Instant::now();
            let (code, stopped) = self.wait();
            self.note_end(code);
            let again = match self.restart {
                Restart::Never => false,
                Restart::OnFailure => code != 0,
                Restart::Always => true,
            };
            if stopped || !again {
                return Ok(code);
            }
            pause = if begun.elapsed() > LASTED { FIRST_PAUSE } else { pause };
            loop {
                match self.heard.recv_timeout(pause) {
                    Err(RecvTimeoutError::Timeout) => {}
                    _ => return Ok(code),
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
                restarts += 1;
                match self.start(restarts) {
                    Ok(()) => break,
                    Err(error) => self.say(&format!("cannot be started again: {error}")),
                }
            }
        }
    }

    /// Until it has ended: its code, and whether that was asked for.
    fn wait(&self) -> (i32, bool) {
        let group = Pid::from_raw(self.pid());
        match self.heard.recv() {
            Ok(Heard::Ended(code)) => return (code, false),
            Ok(Heard::Stop) => {}
            Err(_) => return (1, true),
        }
        let _ = killpg(group, Signal::SIGTERM);
        let deadline = Instant::now() + PATIENCE;
        let mut code = 128 + Signal::SIGKILL as i32;
        loop {
            match self.heard.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Heard::Ended(ended)) => {
                    code = ended;
                    break;
                }
                Ok(Heard::Stop) => {}
                Err(_) => break,
            }
        }
        // What it has started and left behind in its group goes with it.
        let _ = killpg(group, Signal::SIGKILL);
        (code, true)
    }

    fn note_end(&mut self, code: i32) {
        if let Some(kept) = &mut self.kept {
            kept.child = None;
            kept.ended = Some(code);
            let _ = kept.save(&self.folder);
        }
        self.say(&format!("ended with {code}"));
    }

    /// A line of ours in the log.
    fn say(&self, text: &str) {
        let line = format!("[atelier] {} {text}\n", Timestamp::now());
        let _ = Rotating::open(&self.log).and_then(|mut log| log.write_all(line.as_bytes()));
    }
}
