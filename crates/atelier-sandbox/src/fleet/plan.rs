//! What a new sandbox is made of: its runtime, what its files start from, its limits and its network,
//! decided before anything is made.

use std::path::PathBuf;

use atelier_api::env::{NetworkMode, Resources};
use atelier_api::sandbox::{NetworkPolicy, Rates, SandboxOptions, SandboxState};
use atelier_api::system::{Check, Verdict};
use atelier_api::{ExitCode, Problem};
use atelier_image::{Image, PullOptions};
use atelier_net::{Mode, Policy, Rule};
use jiff::Timestamp;
use uuid::Uuid;

use super::record::{Origin, Record};
use super::store::SnapshotRow;
use super::{Fleet, store};
use crate::runtime::Runtime;
use crate::{Root, SandboxError};

/// What a sandbox's files, and perhaps its processes, start from.
#[derive(Debug, Default)]
struct Source {
    root: Root,
    image: Option<Image>,
    origin: Origin,
    state: Option<PathBuf>,
    token_of: Option<Uuid>,
    runtime: Option<String>,
    /// What template or snapshot say, below what was asked for.
    below: SandboxOptions,
    start: Option<String>,
    ready: Option<String>,
}

impl Fleet {
    /// Decides; nothing is made, but an image that is not here is pulled.
    pub(super) async fn plan(&self, mut asked: SandboxOptions) -> Result<Record, Problem> {
        crate::check_options(&asked.resources, &asked.variables)?;
        let runtime_name = asked.runtime.clone();
        if let Some(name) = &runtime_name {
            // Before an image is brought for it.
            self.working(name).await?;
        }
        let source = self.source(&asked, runtime_name.as_deref()).await?;
        let name = runtime_name.or_else(|| source.runtime.clone());
        let name = name.unwrap_or_else(|| self.defaults.runtime.clone());
        let runtime = self.working(&name).await?;
        suits(runtime, &source)?;
        asked.rates = asked.rates.or(source.below.rates);
        can_hold(runtime, &asked.rates)?;
        self.settle(&mut asked, &source, runtime);
        if !runtime.capabilities().own_kernel {
            self.sandboxes.check_limits(&asked.resources)?;
        }
        let mounts = self.mounts(&mut asked.volumes, runtime).await?;
        let network = asked.network.take().unwrap_or_default();
        let policy = policy(&network)?;
        let (network, headers) = self.hide(network, None)?;
        let now = Timestamp::now();
        let mut record = Record {
            id: Uuid::new_v4(),
            name: asked.name.clone(),
            state: SandboxState::Creating,
            runtime: name,
            root: source.root,
            origin: source.origin,
            network,
            headers,
            policy,
            created_at: now,
            started_at: now,
            expires_at: None,
            time_left: None,
            resume_from: source.state,
            token_of: source.token_of,
            start: source.start,
            ready: source.ready,
            mounts,
            notes: Vec::new(),
            user_home: self.defaults.user_home.clone(),
            options: asked,
        };
        record.begin_time(record.options.timeout);
        Ok(record)
    }

    /// The runtime of that name, if it can run sandboxes here.
    async fn working(&self, name: &str) -> Result<&dyn Runtime, Problem> {
        let runtime = self.sandboxes.runtime(name)?;
        usable(name, &self.sandboxes.probe_of(name).await?)?;
        Ok(runtime)
    }

    /// What was not asked for comes from the template or snapshot, the image, the defaults.
    fn settle(&self, asked: &mut SandboxOptions, source: &Source, runtime: &dyn Runtime) {
        let below = &source.below;
        let limits = &mut asked.resources;
        let own_kernel = runtime.capabilities().own_kernel;
        limits.memory = limits.memory.or(below.resources.memory);
        limits.cpus = limits.cpus.or(below.resources.cpus);
        limits.disk = limits.disk.or(below.resources.disk);
        limits.processes =
            limits.processes.or(below.resources.processes).or(Some(self.defaults.processes));
        if own_kernel {
            *limits = machine_of(limits);
        }
        let mut variables = source.image.as_ref().map(image_variables).unwrap_or_default();
        variables.extend(below.variables.clone());
        variables.extend(std::mem::take(&mut asked.variables));
        asked.variables = variables;
        let config = source.image.as_ref().map(|image| &image.config);
        let non_empty = |text: Option<&String>| text.filter(|t| !t.is_empty()).cloned();
        asked.user = asked
            .user
            .take()
            .or_else(|| below.user.clone())
            .or_else(|| non_empty(config.and_then(|c| c.user.as_ref())));
        asked.workdir = asked
            .workdir
            .take()
            .or_else(|| below.workdir.clone())
            .or_else(|| non_empty(config.and_then(|c| c.workdir.as_ref())));
    }

    async fn source(
        &self,
        asked: &SandboxOptions,
        runtime: Option<&str>,
    ) -> Result<Source, Problem> {
        let named = [&asked.from, &asked.image, &asked.template, &asked.snapshot];
        if named.iter().filter(|name| name.is_some()).count() > 1 {
            return Err(Problem::new(
                "sandbox.two_sources",
                ExitCode::Usage,
                "a sandbox starts from one image, template or snapshot",
            )
            .hint("give one of them"));
        }
        let runtime = runtime.unwrap_or(&self.defaults.runtime);
        let from = match (&asked.from, &asked.image, &asked.template, &asked.snapshot) {
            (_, Some(image), ..) => return self.image_source(image).await,
            (_, _, Some(name), _) => {
                return self.template_source(name).await?.ok_or_else(|| {
                    no_source("template", name)
                        .hint("'atelier template ls' lists those that there are")
                });
            }
            (.., Some(name)) => {
                return self.snapshot_source(name).await?.ok_or_else(|| {
                    no_source("snapshot", name)
                        .hint("'atelier snapshot ls' lists those that there are")
                });
            }
            (Some(from), ..) => from,
            _ if !self.sandboxes.runtime(runtime)?.capabilities().images => {
                return Ok(Source::default());
            }
            _ => &self.defaults.from,
        };
        if let Some(found) = self.template_source(from).await? {
            return Ok(found);
        }
        if let Some(found) = self.snapshot_source(from).await? {
            return Ok(found);
        }
        self.image_source(from).await
    }

    async fn image_source(&self, name: &str) -> Result<Source, Problem> {
        let image = match self.image_store().get(name) {
            Ok(image) => image,
            Err(_) => {
                tracing::info!(image = name, "pulling an image that is not here");
                self.pull(name.to_owned(), PullOptions::default()).await?
            }
        };
        Ok(Source {
            root: Root::Image(image.id.to_string()),
            origin: Origin { image: Some(name.to_owned()), ..Origin::default() },
            image: Some(image),
            ..Source::default()
        })
    }

    async fn template_source(&self, name: &str) -> Result<Option<Source>, Problem> {
        let all = store::templates(&self.store).await?;
        let Some(template) = all.into_iter().find(|t| t.name == name) else { return Ok(None) };
        let image = self.image_store().get(&template.image)?;
        let spec = template.spec;
        Ok(Some(Source {
            root: Root::Image(image.id.to_string()),
            origin: Origin {
                image: Some(spec.image),
                template: Some(template.name),
                ..Origin::default()
            },
            image: Some(image),
            below: SandboxOptions {
                variables: spec.variables,
                user: spec.user,
                workdir: spec.workdir,
                resources: spec.resources,
                ..SandboxOptions::default()
            },
            start: spec.start,
            ready: spec.ready,
            ..Source::default()
        }))
    }

    async fn snapshot_source(&self, name: &str) -> Result<Option<Source>, Problem> {
        let Some(row) = self.snapshot_row(name).await? else { return Ok(None) };
        Ok(Some(self.of_snapshot(row)?))
    }

    /// The snapshot of that id or name.
    pub(super) async fn snapshot_row(&self, name: &str) -> Result<Option<SnapshotRow>, Problem> {
        let all = store::snapshots(&self.store).await?;
        Ok(all
            .into_iter()
            .find(|row| row.view.id == name || row.view.name.as_deref() == Some(name)))
    }

    fn of_snapshot(&self, row: SnapshotRow) -> Result<Source, Problem> {
        let image = match &row.root {
            Root::Image(id) => Some(self.image_store().get(id)?),
            Root::Machine => None,
        };
        Ok(Source {
            root: row.root,
            image,
            origin: Origin { snapshot: Some(row.view.id), ..row.origin },
            state: row.state,
            token_of: row.view.sandbox.parse().ok(),
            runtime: Some(row.view.runtime),
            below: row.options,
            // Processes that go on need no start; files alone begin as their template does.
            start: row.start.filter(|_| !row.view.memory),
            ready: row.ready.filter(|_| !row.view.memory),
        })
    }
}

/// The runtime works here, or the reason why not is the error.
fn usable(runtime: &str, checks: &[Check]) -> Result<(), Problem> {
    let failed = checks.iter().find(|c| c.verdict == Verdict::Failed);
    let Some(check) = failed else { return Ok(()) };
    let problem = Problem::new(
        "runtime.unavailable",
        ExitCode::Engine,
        format!("the runtime {runtime} does not work on this machine: {}", check.detail),
    );
    Err(problem
        .with_hints(check.remedy.iter().cloned().collect())
        .hint("'atelier runtime ls' shows which runtimes work here"))
}

fn suits(runtime: &dyn Runtime, source: &Source) -> Result<(), Problem> {
    let takes = runtime.capabilities().images;
    let name = runtime.name();
    let problem = |detail| Problem::new("sandbox.wrong_source", ExitCode::Usage, detail);
    match (&source.root, takes) {
        (Root::Image(_), false) => Err(problem(format!(
            "the runtime {name} takes no image: its sandboxes see this machine's own files"
        ))
        .hint("leave the image out, or choose another runtime")),
        (Root::Machine, true) => Err(problem(format!("the runtime {name} needs an image"))
            .hint("name one, such as debian:bookworm-slim")),
        _ if source.state.is_some() && source.runtime.as_deref() != Some(name) => {
            Err(problem(format!(
                "this snapshot holds the state of the runtime {}, which {name} can't take",
                source.runtime.as_deref().unwrap_or("?")
            ))
            .hint("leave the runtime out; 'atelier template commit' makes of a sandbox that runs what starts on every runtime"))
        }
        _ => Ok(()),
    }
}

/// Rates are enforced or refused, and not so low that the machine would not even start.
fn can_hold(runtime: &dyn Runtime, rates: &Rates) -> Result<(), Problem> {
    let all = [
        ("disk-bandwidth", rates.disk_bandwidth, 64 << 10),
        ("disk-iops", rates.disk_iops, 10),
        ("network-bandwidth", rates.network_bandwidth, 64 << 10),
    ];
    for (what, rate, least) in all {
        let Some(rate) = rate else { continue };
        if !runtime.capabilities().rates {
            return Err(SandboxError::Limit {
                what,
                why: format!(
                    "sandboxes of the runtime {} have no devices of their own",
                    runtime.name()
                ),
                remedy: "use a sandbox of the runtime qemu or firecracker".into(),
            }
            .into());
        }
        if rate < least {
            let detail = format!("{what} can't be {rate}: a machine needs {least} for itself");
            return Err(Problem::new("sandbox.rate_too_low", ExitCode::Usage, detail));
        }
    }
    Ok(())
}

/// A virtual machine has a size, whether somebody gave one or not.
fn machine_of(limits: &Resources) -> Resources {
    Resources {
        memory: Some(limits.memory.unwrap_or(512 << 20)),
        cpus: Some(limits.cpus.unwrap_or(1.0).max(1.0).ceil()),
        disk: Some(limits.disk.unwrap_or(10 << 30)),
        processes: limits.processes,
    }
}

fn image_variables(image: &Image) -> std::collections::BTreeMap<String, String> {
    let pairs = image.config.env.iter().filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn no_source(what: &str, name: &str) -> Problem {
    Problem::new(
        &format!("{what}.not_found"),
        ExitCode::NotFound,
        format!("there is no {what} {name:?}"),
    )
}

/// The rules in the network's own words.
pub(super) fn policy(network: &NetworkPolicy) -> Result<Policy, Problem> {
    let rules = |texts: &[String]| -> Result<Vec<Rule>, Problem> {
        texts.iter().map(|text| Ok(text.parse::<Rule>()?)).collect()
    };
    let allow = rules(&network.allow)?;
    let mode = match network.mode {
        NetworkMode::Open => Mode::Open,
        NetworkMode::None => Mode::None,
        NetworkMode::Allowlist => Mode::Allowlist,
    };
    Ok(Policy { mode, allow, deny: rules(&network.deny)?, ..Policy::none() })
}
