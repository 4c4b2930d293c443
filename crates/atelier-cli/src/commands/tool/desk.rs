//! What every verb works with: the home of tools, whom it tells, whom it asks, and the parts that it
//! joins. Whoever sits at the terminal is met here and nowhere else.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use atelier_agents::{Places, Scope};
use atelier_api::Problem;
use atelier_config::{Layer, Settings};
use atelier_mcp::Target;
use atelier_plugin::{Plugin, Slug};
use atelier_toolrun::data;
use atelier_toolrun::lifecycle::{Happening, Manner, ServiceHooks, Step};
use atelier_toolrun::secrets::{self, Purpose};
use atelier_toolrun::wire::Wiring;
use atelier_tools::{Ask, Cancel, Home, Hooks, Limits, Plan, Progress, Result, ToolsError};

use super::ask;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Paint, confirm, note, visible};

/// What every verb works with.
pub(crate) struct Desk {
    /// The home of tools.
    pub home: Home,
    /// Agree to everything.
    pub yes: bool,
    /// Say nothing on the way.
    quiet: bool,
    program: PathBuf,
    engine: Option<String>,
    cancel: Cancel,
    line: Mutex<String>,
}

impl Desk {
    /// The desk of a command.
    pub(crate) fn new(
        context: &Context<'_>,
        yes: bool,
        json: bool,
    ) -> std::result::Result<Self, Failure> {
        let home = context.home()?;
        let get = |name: &str| std::env::var_os(name);
        let settings = Settings::load(&home, None, get, Layer::default())?;
        let program = std::env::current_exe()
            .map_err(|e| Failure::of_file("found", "atelier".as_ref(), &e))?;
        Ok(Self {
            home: Home::below(home.root()),
            yes,
            quiet: json || !io::stderr().is_terminal(),
            program,
            engine: settings.engine.value,
            cancel: stopped_by_ctrl_c(),
            line: Mutex::default(),
        })
    }

    /// Takes back what a backup or a restore that was killed left half.
    pub(crate) fn recover(&self) -> Result<()> {
        self.with_manner(|manner| data::recover(&self.home, manner))?;
        Ok(())
    }

    /// What the verbs that change what is installed are called with.
    pub(crate) fn context(&self) -> Changing<'_> {
        Changing { desk: self, progress: Box::new(|progress| self.went(&progress)) }
    }

    /// How services are dealt with.
    pub(crate) fn manner<'a>(&self, progress: &'a (dyn Fn(&Happening) + Sync)) -> Manner<'a> {
        let program = self.program.clone();
        let keeper = [program.clone().into(), "tool".into(), "keep".into()];
        Manner {
            environment: std::env::vars_os().collect(),
            keeper: Vec::<OsString>::from(keeper),
            program,
            engine: self.engine.clone(),
            progress,
        }
    }

    /// Does something with services, and tells what happens.
    pub(crate) fn with_manner<T>(&self, work: impl FnOnce(&Manner<'_>) -> T) -> T {
        let tell = |happening: &Happening| self.tell(happening);
        work(&self.manner(&tell))
    }

    /// What wires tools into agents.
    pub(crate) fn wiring(&self, scope: Scope, force: bool) -> Result<Wiring<'_>> {
        let mut places = Places::here().map_err(|error| ToolsError::of_part(&error))?;
        if scope == Scope::Project {
            let here =
                std::env::current_dir().map_err(|e| ToolsError::file("found", ".".as_ref())(e))?;
            places = places.with_project(here);
        }
        let program = self.program.to_string_lossy().into_owned();
        Ok(Wiring { home: &self.home, places, program, scope, force })
    }

    /// How a tool's MCP server is reached: as agents reach it.
    pub(crate) fn server(&self, slug: &Slug) -> Target {
        Target::program(self.program.to_string_lossy(), ["tool", "exec", slug.as_str()])
    }

    /// The installed tools; those that a command named, when it named some.
    pub(crate) fn tools(&self, named: &[Slug]) -> Result<Vec<Slug>> {
        self.recover()?;
        let installed = atelier_tools::verbs::installed(&self.home)?;
        if named.is_empty() {
            return Ok(installed);
        }
        match named.iter().find(|slug| !installed.contains(slug)) {
            None => Ok(named.to_vec()),
            Some(slug) => Err(ToolsError::Unknown {
                name: slug.to_string(),
                known: installed.iter().map(ToString::to_string).collect(),
            }),
        }
    }

    /// Our own program.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Whether Ctrl-C was pressed.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// What a change of the home is doing. Its journal's steps are for those who look into it, not for
    /// this terminal.
    fn went(&self, progress: &Progress<'_>) {
        const SHOWN: [&str; 9] = [
            "fetching",
            "locking",
            "installing",
            "stopping",
            "starting",
            "pulling",
            "pushing",
            "recovering",
            "undoing",
        ];
        let Progress { phase, text } = progress;
        match *phase {
            "warning" => note(text),
            phase if SHOWN.contains(&phase) => self.say(&format!("{phase} {text}")),
            _ => {}
        }
    }

    fn tell(&self, happening: &Happening) {
        let text = happening.text.as_deref().unwrap_or_default();
        match happening.what {
            Step::Says => self.say(&format!("{}: {text}", happening.slug)),
            Step::Waits => self.say(&format!("waiting for {} {text}", happening.slug)),
            _ => {}
        }
    }

    /// One line on standard error, not twice the same.
    fn say(&self, text: &str) {
        let Ok(mut last) = self.line.lock() else { return };
        if self.quiet || text.is_empty() || *last == text {
            return;
        }
        let _ = writeln!(io::stderr(), "{}", Paint::stderr().dim(text));
        text.clone_into(&mut last);
    }
}

/// What a verb that changes what is installed is called with, alive as long as the call.
pub(crate) struct Changing<'a> {
    desk: &'a Desk,
    progress: Box<dyn Fn(Progress<'_>) + 'a>,
}

impl Changing<'_> {
    /// As the verbs take it.
    pub(crate) fn get(&self) -> atelier_tools::Context<'_> {
        atelier_tools::Context {
            progress: &*self.progress,
            ask: self.desk,
            hooks: self.desk,
            cancel: self.desk.cancel.clone(),
            limits: Limits::default(),
        }
    }
}

impl Ask for Desk {
    fn agree(&self, plan: &Plan) -> Result<bool> {
        if self.yes {
            return Ok(true);
        }
        let _ = io::stderr().write_all(describe(plan, Paint::stderr()).as_bytes());
        let question = format!("{} {}?", plan.action, plan.slug);
        confirm(&question).map_err(of_failure)
    }
}

/// All that a person agrees to.
pub(crate) fn describe(plan: &Plan, paint: Paint) -> String {
    let source = paint.dim(&visible(&plan.source));
    let mut text = format!("{} {source}\n", paint.bold(&plan.slug));
    let mut part = |title: &str, lines: &[String]| {
        for line in lines.iter().filter(|line| !line.is_empty()) {
            text.push_str(&format!("  {title:<9} {}\n", visible(line)));
        }
    };
    part("what", std::slice::from_ref(&plan.description));
    part("maturity", std::slice::from_ref(&plan.maturity));
    part("runs", &plan.runs);
    part("packages", &plan.packages);
    part("unpinned", &plan.unpinned);
    part("needs", &plan.needs);
    part("ports", &plan.ports.iter().map(ToString::to_string).collect::<Vec<_>>());
    part("files", &plan.files);
    part("note", &plan.notes);
    text
}

impl Desk {
    /// Calls a plugin's commands and services as they are.
    fn hooks<T>(&self, call: impl FnOnce(&ServiceHooks<'_>) -> T) -> T {
        let configure = |slug: &Slug| self.configured(slug);
        let unplug = |slug: &Slug| self.wiring(Scope::User, false)?.unplug_everywhere(slug);
        self.with_manner(|manner| {
            let (configure, unplug) = (&configure, &unplug);
            call(&ServiceHooks { home: &self.home, manner, configure, unplug })
        })
    }

    /// Asks for required settings that have no value, where somebody can be asked.
    fn configured(&self, slug: &Slug) -> Result<Vec<String>> {
        let plugin = Plugin::load(&self.home.plugin(slug))?;
        let around = |name: &str| std::env::var(name).ok();
        let now = secrets::resolve(&self.home, slug, &plugin, Purpose::Service, around)?;
        if now.missing.is_empty() || self.quiet || !io::stdin().is_terminal() {
            return Ok(now.missing);
        }
        let mut questions = secrets::questions(&self.home, slug, &plugin)?;
        questions.retain(|question| now.missing.contains(&question.name));
        let answers = ask::all(slug, &questions).map_err(of_failure)?;
        let recipients = atelier_tools::verbs::recipients(&self.home)?;
        Ok(secrets::apply(&self.home, slug, &plugin, &recipients, &answers)?.missing)
    }
}

impl Hooks for Desk {
    fn configure(&self, slug: &Slug) -> Result<Vec<String>> {
        self.hooks(|hooks| hooks.configure(slug))
    }
    fn install(&self, slug: &Slug) -> Result<()> {
        self.hooks(|hooks| hooks.install(slug))
    }
    fn uninstall(&self, slug: &Slug) -> Result<()> {
        self.hooks(|hooks| hooks.uninstall(slug))
    }
    fn is_running(&self, slug: &Slug) -> bool {
        self.hooks(|hooks| hooks.is_running(slug))
    }
    fn stop(&self, slug: &Slug) -> Result<()> {
        self.hooks(|hooks| hooks.stop(slug))
    }
    fn start(&self, slug: &Slug) -> Result<()> {
        self.hooks(|hooks| hooks.start(slug))
    }
    fn health(&self, slug: &Slug) -> Result<()> {
        self.hooks(|hooks| hooks.health(slug))
    }
    fn unplug(&self, slug: &Slug) -> Result<Vec<String>> {
        self.hooks(|hooks| hooks.unplug(slug))
    }
}

/// The failure of a question as one of the tools.
fn of_failure(failure: Failure) -> ToolsError {
    match failure {
        Failure::Problem(problem) => of_problem(*problem),
        _ => ToolsError::Declined("the question".to_owned()),
    }
}

/// The failure of a part as one of the tools.
fn of_problem(problem: Problem) -> ToolsError {
    let (exit, message, hints) = (problem.exit_code(), problem.detail, problem.hints);
    ToolsError::Other { code: "tool.failed", exit, message, hints }
}

/// Set at the first Ctrl-C: the verb turns back and leaves nothing half-done. The second one ends at
/// once, and the next command mends.
fn stopped_by_ctrl_c() -> Cancel {
    let cancel = Cancel::default();
    let other = cancel.clone();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            if tokio::signal::ctrl_c().await.is_ok() {
                other.cancel();
                let _ = tokio::signal::ctrl_c().await;
                std::process::exit(130);
            }
        });
    });
    cancel
}
