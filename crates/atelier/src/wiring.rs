//! What the command line can't do itself, handed to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use atelier_api::env::{Applied, EnvApplyInput, NetworkMode};
use atelier_api::system::Check;
use atelier_api::{ExitCode, Problem};
use atelier_cli::{Authorities, Hooks, Resolver, ServeOptions};
use atelier_config::{Home, Layer, ProjectLayer, Settings};
use atelier_environment::{Config, FILE_NAME, Network, Project};
use atelier_image::StoreOptions;
use atelier_run::Defaults;
use atelier_server::{Addresses, Certificate, FleetDefaults, ServiceSettings, Surroundings};

use crate::system::Machine;
use crate::{build, far, logs, reference};

/// How long calls under way may take when the control plane stops.
const GRACE: Duration = Duration::from_secs(5);

/// How long services may take until they run and are healthy, images that are pulled included.
const SERVICES_TIMEOUT: Duration = Duration::from_secs(600);

/// The parts.
pub(crate) struct Wiring;

impl Hooks for Wiring {
    fn version(&self) -> &'static str {
        build::VERSION
    }

    fn build(&self) -> &'static str {
        build::id()
    }

    fn serve(&self, options: ServeOptions) -> Result<(), Problem> {
        atelier_server::one_heap();
        logs::start(&options.settings)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_keep_alive(Duration::from_secs(2))
            .enable_all()
            .build()
            .map_err(|e| {
                Problem::new("serve.runtime", ExitCode::Failed, format!("no threads: {e}"))
            })?;
        let background = options.background;
        let served = runtime.block_on(atelier_server::serve(serve_options(options)?))?;
        // Work that is cut off here is taken back at the next start.
        runtime.shutdown_timeout(Duration::from_millis(200));
        if served || background {
            return Ok(());
        }
        Err(Problem::new(
            "serve.running",
            ExitCode::Conflict,
            "a control plane serves this home already",
        )
        .hint("see it with 'atelier status', end it with 'atelier stop'"))
    }

    fn local_doctor(&self, home: &Home) -> Vec<Check> {
        atelier_server::offline(home)
    }

    fn repair(&self, home: &Home) -> Result<Vec<Check>, Problem> {
        atelier_server::repair(home)
    }

    fn init_template(&self, folder: &Path) -> Result<(PathBuf, String), Problem> {
        let project = project(folder)?;
        let text = atelier_environment::template(&project.root, &project.name);
        Ok((project.root.join(FILE_NAME), text))
    }

    fn project_layer(&self, folder: &Path) -> Result<Option<ProjectLayer>, Problem> {
        let Ok(project) = project(folder) else { return Ok(None) };
        let path = project.root.join(FILE_NAME);
        if !path.exists() {
            return Ok(None);
        }
        let config = Config::load(&project.root)?;
        Ok(Some(ProjectLayer { path, layer: layer(&config), commands: config.commands }))
    }

    fn project_root(&self, folder: &Path) -> Result<PathBuf, Problem> {
        Ok(project(folder)?.root)
    }

    fn travelling(&self, folder: &Path, home: &Home) -> Result<atelier_far::Project, Problem> {
        far::travelling(project(folder)?, home)
    }

    fn bring_back(&self, folder: &Path, input: &EnvApplyInput) -> Result<Applied, Problem> {
        far::bring_back(&project(input.project.as_path())?, folder, input)
    }

    fn reference_pages(&self) -> Vec<(&'static str, String)> {
        reference::pages()
    }

    fn resolver(&self) -> &dyn Resolver {
        &Machine
    }

    fn authorities(&self) -> &dyn Authorities {
        &Machine
    }

    fn openapi(&self) -> serde_json::Value {
        atelier_server::openapi()
    }
}

fn project(folder: &Path) -> Result<Project, Problem> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    Ok(Project::discover(folder, home.as_deref())?)
}

fn serve_options(options: ServeOptions) -> Result<atelier_server::ServeOptions, Problem> {
    let ServeOptions { home, settings, .. } = options;
    let text = |address: Option<std::net::SocketAddr>| address.map(|a| a.to_string());
    Ok(atelier_server::ServeOptions {
        home,
        addresses: Addresses {
            listen: text(settings.listen.value),
            ingress: text(settings.ingress.value),
            tls: text(settings.tls.value),
            ssh: text(settings.ssh.value),
            dns: settings.dns.value,
        },
        certificate: Certificate {
            certificate: settings.tls_certificate.value.clone(),
            key: settings.tls_key.value.clone(),
        },
        defaults: defaults(&settings),
        services: services(&settings),
        sandboxes: FleetDefaults {
            runtime: settings.sandbox_runtime.value.clone(),
            from: settings.sandbox_from.value.clone(),
            processes: settings.processes.value,
            domain: settings.domain.value.to_ascii_lowercase(),
            ..FleetDefaults::default()
        },
        images: StoreOptions {
            mirrors: mirrors(&settings.mirrors.value)?,
            insecure: settings.insecure.value.clone(),
            ..StoreOptions::default()
        },
        build: build::id().to_owned(),
        grace: GRACE,
    })
}

fn services(settings: &Settings) -> ServiceSettings {
    let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let folder = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = folder("HOME").map(|home| home.join(".docker"));
    ServiceSettings {
        engine: settings.engine.value.clone(),
        around: Surroundings {
            docker_host: text("DOCKER_HOST"),
            container_host: text("CONTAINER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            docker_config: folder("DOCKER_CONFIG").or(home),
            runtime_dir: folder("XDG_RUNTIME_DIR"),
        },
        compose: settings.compose.value.clone(),
        path: std::env::var_os("PATH").unwrap_or_default(),
        reach: settings.reach.value,
        subnets: settings.subnets.value,
        suffix: settings.dns_suffix.value.clone(),
        timeout: SERVICES_TIMEOUT,
        grace: settings.grace.value,
    }
}

/// `registry=URL` for each, several for one registry in order.
fn mirrors(pairs: &[String]) -> Result<BTreeMap<String, Vec<String>>, Problem> {
    let mut mirrors = BTreeMap::<String, Vec<String>>::new();
    for pair in pairs {
        let Some((registry, url)) = pair.split_once('=') else {
            return Err(Problem::new(
                "config.mirror",
                ExitCode::Configuration,
                format!("the mirror {pair:?} is not REGISTRY=URL"),
            )
            .hint("write it as docker.io=http://127.0.0.1:5000"));
        };
        mirrors.entry(registry.to_owned()).or_default().push(url.to_owned());
    }
    Ok(mirrors)
}

fn defaults(settings: &Settings) -> Defaults {
    // Init commands run for the control plane, not for a caller; they find what every command
    // finds. Secrets of the shell that happened to start the control plane stay out.
    let inherited = ["PATH", "USER", "LOGNAME", "SHELL", "LANG"];
    let variables: BTreeMap<String, String> = inherited
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
        .collect();
    Defaults {
        options: settings.env_options(),
        inherited: variables,
        idle_stop: settings.idle_stop.value,
        criu: settings.criu.value.clone().map(PathBuf::from),
    }
}

/// What `atelier.yaml` sets, as a layer of the settings.
fn layer(config: &Config) -> Layer {
    let (network, allow) = match config.network.clone() {
        None => (None, None),
        Some(Network::Open) => (Some(NetworkMode::Open), None),
        Some(Network::None) => (Some(NetworkMode::None), None),
        Some(Network::Allow(rules)) => (Some(NetworkMode::Allowlist), Some(rules)),
    };
    Layer {
        runtime: config.runtime.clone(),
        network,
        allow,
        memory: config.resources.memory.map(|m| m.0),
        cpus: config.resources.cpus,
        processes: config.resources.processes.map(u64::from),
        disk: config.resources.disk.map(|d| d.0),
        grants: (!config.grants.is_empty()).then(|| config.grants.clone()),
        ..Layer::default()
    }
}
