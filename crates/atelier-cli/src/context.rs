//! What every command starts from: the home, the control plane, the folder that the user is in.

use std::cell::OnceCell;
use std::env;
use std::fs;
use std::path::Path;
use std::pin::{Pin, pin};

use atelier_api::{ExitCode, HostPath, Operation, Problem};
use atelier_client::{Client, ControlPlane, Endpoint, Starter};
use atelier_config::{Home, env_vars};

use crate::failure::Failure;
use crate::far::Connected;
use crate::hooks::Hooks;
use crate::progress::working;
use crate::spawn;

/// What every command starts from. Nothing is looked up before it is asked for.
pub(crate) struct Context<'a> {
    pub hooks: &'a dyn Hooks,
    /// The far host that commands are for.
    pub(crate) on: Option<String>,
    pub(crate) connected: OnceCell<Connected>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(hooks: &'a dyn Hooks) -> Self {
        Self { hooks, on: None, connected: OnceCell::new() }
    }

    /// The same for a far host.
    pub(crate) fn on(self, host: Option<String>) -> Self {
        Self { on: host, ..self }
    }

    /// The home folder; nothing is made.
    pub(crate) fn home(&self) -> Result<Home, Failure> {
        Ok(Home::discover(|name| env::var_os(name))?)
    }

    /// The control plane that `ATELIER_HOST` names, or the home's, which is started when needed.
    pub(crate) fn control_plane(&self) -> Result<ControlPlane<'static>, Failure> {
        self.control_plane_with(Vec::new())
    }

    /// The same; a control plane that is started gets these arguments besides.
    pub(crate) fn control_plane_with(
        &self,
        arguments: Vec<String>,
    ) -> Result<ControlPlane<'static>, Failure> {
        if let Some(plane) = self.far_control_plane()? {
            return Ok(plane);
        }
        self.near(arguments)
    }

    /// The control plane of this machine, whatever host the command is for.
    pub(crate) fn near(&self, arguments: Vec<String>) -> Result<ControlPlane<'static>, Failure> {
        let home = self.home()?;
        let build = self.hooks.build();
        if let Some(host) = env::var_os(env_vars::HOST).filter(|host| !host.is_empty()) {
            let endpoint = Endpoint::parse(&host.to_string_lossy())?;
            let token = match endpoint {
                Endpoint::Tcp(_) => token(&home),
                Endpoint::Unix(_) => None,
            };
            return Ok(ControlPlane::remote(Client::new(endpoint, build, token)));
        }
        let client = Client::new(Endpoint::Unix(home.socket()), build, None);
        let starter = Starter::new(&home.clone(), move || spawn::control_plane(&home, &arguments));
        Ok(ControlPlane::local(client, starter))
    }

    /// Calls one operation.
    pub(crate) fn call<O: Operation>(&self, input: &O::Input) -> Result<O::Output, Failure> {
        let plane = self.control_plane()?;
        self.wait(async { Ok(plane.call::<O>(input).await?) })
    }

    /// Calls one operation that may take long; a terminal sees that it goes on.
    pub(crate) fn call_slowly<O: Operation>(
        &self,
        what: &str,
        input: &O::Input,
    ) -> Result<O::Output, Failure> {
        let plane = self.control_plane()?;
        self.wait(working(what, async { Ok(plane.call::<O>(input).await?) }))
    }

    /// Runs what waits, on this thread alone.
    pub(crate) fn wait<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut done = None;
        run_here(pin!(async { done = Some(work.await) }))?;
        done.unwrap_or_else(|| Err(no_loop("it ended before its work").into()))
    }

    /// A path of the user's as an absolute one. It need not be there.
    pub(crate) fn path(&self, given: &Path) -> Result<HostPath, Failure> {
        if given.as_os_str().is_empty() {
            return Err(Failure::usage("a path is empty"));
        }
        if let Some(host) = &self.on {
            return Err(crate::far::not_there(host, given));
        }
        self.here(Some(given))
    }

    /// The folder that says which project is meant: the one given, or the current one. It need not
    /// be there any more. On a far host it is the one that stands for it there.
    pub(crate) fn project(&self, given: Option<&Path>) -> Result<HostPath, Failure> {
        let here = self.here(given)?;
        self.mirrored(here)
    }

    /// The same folder on this machine.
    pub(crate) fn here(&self, given: Option<&Path>) -> Result<HostPath, Failure> {
        let folder = given.map_or_else(env::current_dir, std::path::absolute);
        folder.map(HostPath).map_err(|e| {
            let detail = format!("the current folder cannot be told: {e}");
            Problem::new("project.missing", ExitCode::NotFound, detail)
                .hint("change to a folder that is there")
                .into()
        })
    }
}

/// The key for calls over TCP: the one that is given, or the home's own.
fn token(home: &Home) -> Option<String> {
    let given = env::var(env_vars::TOKEN).ok().filter(|token| !token.is_empty());
    let token = given.or_else(|| fs::read_to_string(home.api_key()).ok())?;
    Some(token.trim().to_owned())
}

/// An event loop on this thread. Not generic: the loop is compiled once and not for each command.
fn run_here(work: Pin<&mut dyn Future<Output = ()>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| no_loop(&e.to_string()))?.block_on(work);
    Ok(())
}

fn no_loop(why: &str) -> Problem {
    Problem::new("system", ExitCode::Failed, format!("no event loop can be made: {why}"))
}
