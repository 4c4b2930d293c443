//! What a running guest knows: its options, what `POST /init` changed, its processes and watchers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::filesystem::Watchers;
use super::gate::Gate;
use super::host::CpuTimes;
use super::options::ServeOptions;
use super::process::Table;
use super::users::User;
use crate::wire::{ConnectError, InitRequest};

/// The path of processes whose request and guest have none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) struct Server {
    pub(super) options: ServeOptions,
    pub(super) processes: Table,
    pub(super) watchers: Watchers,
    pub(super) cpu: Cell<CpuTimes>,
    pub(super) gate: Gate,
    settings: RefCell<Settings>,
}

/// What `POST /init` changes.
struct Settings {
    env: BTreeMap<String, String>,
    user: Option<String>,
    workdir: Option<PathBuf>,
    token: Option<String>,
    /// Variables that say where trusted authorities stand.
    trust: BTreeMap<String, String>,
}

impl Server {
    pub(super) fn new(options: ServeOptions) -> Rc<Self> {
        let settings = RefCell::new(Settings {
            env: BTreeMap::new(),
            user: options.default_user.clone(),
            workdir: options.default_workdir.clone(),
            token: options.token.clone(),
            trust: BTreeMap::new(),
        });
        Rc::new(Self {
            processes: Table::new(options.spool.clone()),
            watchers: Watchers::default(),
            cpu: Cell::default(),
            gate: Gate::new(),
            settings,
            options,
        })
    }

    pub(super) fn token(&self) -> Option<String> {
        self.settings.borrow().token.clone()
    }

    pub(super) fn workdir(&self) -> Option<PathBuf> {
        self.settings.borrow().workdir.clone()
    }

    /// The variables of every process.
    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        let settings = self.settings.borrow();
        let mut all = settings.trust.clone();
        all.extend(self.options.env.iter().cloned());
        all.extend(settings.env.clone());
        all
    }

    /// The variables of a process of a user, with those of its own request.
    pub(super) fn environment_for(
        &self,
        user: &User,
        own: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let path = std::env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned());
        all.insert("PATH".to_owned(), path);
        all.insert("HOME".to_owned(), user.home.to_string_lossy().into_owned());
        all.insert("USER".to_owned(), user.name.clone());
        all.insert("LOGNAME".to_owned(), user.name.clone());
        if let Some(shell) = &user.shell {
            all.insert("SHELL".to_owned(), shell.clone());
        }
        all.extend(self.environment());
        all.extend(own.clone());
        all
    }

    /// The user of a caller: the one they name, else the guest's default, else the guest's own.
    pub(super) fn user(&self, named: Option<&str>) -> Result<User, String> {
        let settings = self.settings.borrow();
        let Some(name) = named.or(settings.user.as_deref()) else { return Ok(self.own_user()) };
        User::find(name).ok_or_else(|| name.to_owned())
    }

    /// The guest's own user lives where the guest was told, if it was.
    fn own_user(&self) -> User {
        let mut user = User::own();
        if let Some((_, home)) = self.options.env.iter().find(|(key, _)| key == "HOME") {
            user.home = PathBuf::from(home);
        }
        user
    }

    /// Takes new settings. A token that is set already must be the same.
    pub(super) fn init(&self, request: InitRequest) -> Result<(), ConnectError> {
        let mut settings = self.settings.borrow_mut();
        if let Some(env) = request.env_vars {
            settings.env = env;
        }
        if let Some(token) = request.access_token {
            settings.token = (!token.is_empty()).then_some(token);
        }
        if let Some(user) = request.default_user.filter(|name| !name.is_empty()) {
            settings.user = Some(user);
        }
        if let Some(workdir) = request.default_workdir.filter(|path| !path.is_empty()) {
            settings.workdir = Some(PathBuf::from(workdir));
        }
        if let Some(certificate) = request.trust {
            settings.trust =
                super::trust::install(Path::new("/"), &certificate).map_err(|why| {
                    ConnectError::internal(format!("the store of authorities: {why}"))
                })?;
        }
        // Both are given to copies alone, which have a kernel of their own.
        #[cfg(feature = "machine")]
        if request.hostname.is_some() || request.entropy.is_some() {
            super::host::renew(request.hostname.as_deref(), request.entropy.as_deref())?;
        }
        match request.timestamp {
            Some(text) if self.options.set_clock => super::host::set_clock(&text),
            _ => Ok(()),
        }
    }
}
