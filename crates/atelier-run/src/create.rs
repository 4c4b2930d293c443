//! `env.create`: from a name to an environment that is whole. The steps are journalled; whatever
//! stops in the middle is taken back, here or at the next start.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use atelier_api::env::{EnvCreateInput, Environment};
use atelier_api::{EnvOptions, HostPath, Name, Problem};
use atelier_environment::{Config, LayerMode, Project, Workspace};
use atelier_net::Policy;
use atelier_store::Job;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::error::{broken, exists, image_runtime};
use crate::options::{resolve, validate};
use crate::recipe::Plan;
use crate::record::Record;
use crate::services::has_services;
use crate::store::{self, Identity};
use crate::workshop::Workshop;

/// The journal's word for it.
pub(crate) const KIND: &str = "env.create";

/// An environment that is about to be made.
struct Draft {
    id: Uuid,
    name: Name,
    project: Project,
    config: Config,
    options: EnvOptions,
    policy: Policy,
}

impl Workshop {
    /// Makes an environment.
    ///
    /// # Errors
    /// `env.exists`; whatever its options, its project or its disk have against it.
    pub async fn create(self: &Arc<Self>, input: EnvCreateInput) -> Result<Environment, Problem> {
        let project = self.project(&input.project).await?;
        let guard = self.lock(&project, &input.env).await;
        let record = self.create_locked(project, &input.env, input.options).await?;
        drop(guard);
        self.view(&record).await
    }

    /// The same for a caller that holds the name's lock.
    pub(crate) async fn create_locked(
        self: &Arc<Self>,
        project: Project,
        name: &Name,
        asked: EnvOptions,
    ) -> Result<Record, Problem> {
        let draft = self.draft(project, name, asked)?;
        let label = format!("{}/{}", draft.project.name, draft.name);
        let project_id = draft.project.id();
        let identity = Identity {
            id: draft.id,
            project_id: &project_id,
            project_name: draft.project.name.as_str(),
            name: &draft.name,
            root: HostPath(draft.project.root.clone()).encode(),
        };
        let _at_work = self.at_work(draft.id);
        let job = self.store.journal().begin(KIND, &draft.id.to_string(), &label).await?;
        if !store::environment_claim(&self.store, &identity).await? {
            job.failed("the name is taken").await?;
            return Err(exists(&draft.name, draft.project.name.as_str()));
        }
        let id = draft.id;
        match self.build(draft, &job).await {
            Ok(record) => {
                job.done().await?;
                self.events.publish("env.created", record.label(), json!({ "id": id }));
                Ok(record)
            }
            Err(problem) => {
                self.discard(id).await?;
                job.failed(&problem.detail).await?;
                Err(problem)
            }
        }
    }

    fn draft(&self, project: Project, name: &Name, asked: EnvOptions) -> Result<Draft, Problem> {
        let config = Config::load(&project.root)?;
        let options = resolve(asked, &config, &self.defaults.options);
        let policy = validate(&options)?;
        self.sandboxes.check_limits(&options.resources)?;
        let runtime = self.sandboxes.runtime(options.runtime.as_deref().unwrap_or("host"))?;
        if !runtime.capabilities().shares_host_files {
            return Err(image_runtime(runtime.name()));
        }
        Ok(Draft { id: Uuid::now_v7(), name: name.clone(), project, config, options, policy })
    }

    async fn build(self: &Arc<Self>, draft: Draft, job: &Job) -> Result<Record, Problem> {
        job.step("workspace").await?;
        let plan = Plan {
            id: draft.id,
            name: &draft.name,
            project: &draft.project,
            config: &draft.config,
            options: &draft.options,
        };
        let workspace = self.copy(&plan, "workspace").await?;
        let services = has_services(&draft.config, &draft.project.root);
        let record = Record {
            id: draft.id,
            name: draft.name,
            project: draft.project,
            options: draft.options,
            policy: draft.policy,
            workspace,
            created_at: Timestamp::now(),
            shown: services,
            hostnames: BTreeMap::new(),
            port: draft.config.port,
            user_home: self.user_home.clone(),
            renewal: None,
        };
        self.begin(&record, &draft.config, job).await?;
        job.step("record").await?;
        record.save(&self.folder(record.id))?;
        store::environment_ready(&self.store, &record).await?;
        Ok(record)
    }

    /// What is run once in a new environment.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        record: &Record,
        config: &Config,
        job: &Job,
    ) -> Result<(), Problem> {
        if let Some(command) = &config.secrets {
            job.step("secrets").await?;
            self.fetch_secrets(record, command).await?;
        }
        if let Some(command) = &config.init {
            job.step("init").await?;
            self.init(record, command).await?;
        }
        Ok(())
    }

    /// The frozen base, if it is not there yet, and an environment's layers on it, in a new folder of this name.
    pub(crate) async fn copy(
        self: &Arc<Self>,
        plan: &Plan<'_>,
        folder: &str,
    ) -> Result<Workspace, Problem> {
        let _base = self.bases.read().await;
        let _turn = self.copies.acquire().await;
        let (this, id, limits) = (self.clone(), plan.id, plan.options.resources.clone());
        let (project, folder) = (plan.project.clone(), folder.to_owned());
        let services = has_services(plan.config, &project.root);
        let recipe = self.recipe(plan)?;
        let copied = tokio::task::spawn_blocking(move || -> Result<Workspace, Problem> {
            let folder: PathBuf = this.sandboxes.layers(id, &limits)?.join(folder);
            // Only root can mount layers where a container engine sees them.
            let layered =
                this.sandboxes.can_layer() && (!services || nix::unistd::geteuid().is_root());
            let mode = if layered { LayerMode::Overlay } else { LayerMode::Copy };
            let home = &this.home;
            Ok(atelier_environment::create_workspace(&project, home, &folder, &recipe, mode)?)
        });
        copied.await.map_err(|e| broken(&e))?
    }
}
