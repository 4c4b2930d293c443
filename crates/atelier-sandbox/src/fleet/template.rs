//! Templates: an image, a repository and setup commands, run once and frozen as a layer.

use std::time::Duration;

use atelier_api::image::{
    Template, TemplateBuildInput, TemplateBuilt, TemplateCommitInput, TemplateRef, TemplateSpec,
};
use atelier_api::sandbox::SandboxOptions;
use atelier_api::system::Nothing;
use atelier_api::{ExitCode, Problem};
use atelier_guest::client::Guest;
use atelier_image::ImageChange;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::record::Record;
use super::store;
use super::{Entry, Fleet, broken, presets};
use crate::{Root, repository, shell};

/// How long one setup command may take.
const SETUP_LIMIT: Duration = Duration::from_secs(60 * 60);
/// How long a start command may take until it is ready.
const READY_LIMIT: Duration = Duration::from_secs(60);

impl Fleet {
    /// Builds a template, unless it is there and nothing that it is made of has changed.
    ///
    /// # Errors
    /// When the image, the repository or a setup command fails; an older template stays.
    pub async fn template_build(
        &self,
        input: TemplateBuildInput,
    ) -> Result<TemplateBuilt, Problem> {
        check_name(&input.name)?;
        let fleet = self.me()?;
        self.whole(async move {
            let _building = fleet.building.lock().await;
            fleet.build_template(input).await
        })
        .await
    }

    async fn build_template(
        &self,
        mut input: TemplateBuildInput,
    ) -> Result<TemplateBuilt, Problem> {
        let preset = input.spec.preset.as_deref().map(presets::find).transpose()?;
        if let Some(preset) = &preset {
            preset.fill(&mut input.spec);
        }
        let mut record = self.plan(builder_options(&input)).await?;
        let files = match &input.spec.repository {
            Some(place) => {
                let reference = input.spec.reference.as_deref();
                Some(repository::fetch(place, reference, &self.snapshots).await?)
            }
            None => None,
        };
        let version = files.as_ref().map(|files| files.version.as_str());
        let given = preset.map_or(&[][..], |preset| preset.files);
        let inputs = digest(&(&record.root, &input.spec, version, given))?;
        let before = store::templates(&self.store).await?;
        let before = before.into_iter().find(|t| t.name == input.name);
        if let Some(template) = before.filter(|t| t.inputs == inputs && !input.force) {
            return Ok(TemplateBuilt { template, rebuilt: false, log: String::new() });
        }
        // What the setup is told is what later commands are told.
        record.start = None;
        let entry = self.make(record).await?;
        let built = self.set_up(&entry, &input.spec, given, files.as_ref()).await;
        let frozen = match built {
            Ok(log) => self
                .freeze_template(&entry, &input.name, &input.spec, inputs)
                .await
                .map(|template| TemplateBuilt { template, rebuilt: true, log }),
            Err(problem) => Err(problem),
        };
        self.remove_entry(&entry).await?;
        frozen
    }

    /// Puts the repository into the sandbox and runs the setup; gives what it said.
    async fn set_up(
        &self,
        entry: &Entry,
        spec: &TemplateSpec,
        given: &[(&str, &'static str)],
        files: Option<&repository::Fetched>,
    ) -> Result<String, Problem> {
        // Setup is a matter of root; what users start later is theirs.
        let guest = self.enter(&entry.id.to_string(), true).await?.guest.with_user("root");
        for (path, contents) in given {
            guest.write(path, *contents).await.map_err(crate::SandboxError::from)?;
        }
        let mut log = String::new();
        let place = spec.workdir.as_deref().or(files.is_some().then_some("/workspace"));
        if let Some(place) = place {
            shell::ensure_folder(&guest, place, spec.user.as_deref()).await?;
        }
        if let (Some(files), Some(place)) = (files, place) {
            shell::unpack(&guest, files.archive.path(), place, spec.user.as_deref()).await?;
        }
        for command in &spec.setup {
            log.push_str(&format!("$ {command}\n"));
            let ended = shell::run(&guest, command, place, Some(SETUP_LIMIT)).await?;
            log.push_str(&ended.output);
            if ended.code != 0 {
                return Err(setup_failed(command, &ended));
            }
        }
        Ok(log)
    }

    /// Freezes a sandbox's files as a template; the sandbox goes on.
    ///
    /// # Errors
    /// When it is not made of an image, or is a machine that does not run.
    pub async fn template_commit(&self, input: TemplateCommitInput) -> Result<Template, Problem> {
        check_name(&input.name)?;
        let (fleet, entry) = (self.me()?, self.find(&input.sandbox)?);
        self.whole(async move {
            let mut spec = input.spec;
            let record = entry.record();
            if spec.image.is_empty() {
                spec.image = record.origin.image.clone().unwrap_or_default();
            }
            let inputs = format!("commit of {}", record.public_id());
            fleet.freeze_template(&entry, &input.name, &spec, inputs).await
        })
        .await
    }

    async fn freeze_template(
        &self,
        entry: &Entry,
        name: &str,
        spec: &TemplateSpec,
        inputs: String,
    ) -> Result<Template, Problem> {
        let _change = entry.change.lock().await;
        let record = entry.record();
        let image = self.image_of(&record, |change| describe(change, name, spec)).await?;
        let size = self.image_store().get(&image)?.size_bytes;
        let template = Template {
            name: name.to_owned(),
            spec: spec.clone(),
            image: image.clone(),
            inputs,
            built_at: Timestamp::now(),
            size_bytes: size,
        };
        let older = store::templates(&self.store).await?.into_iter().find(|t| t.name == name);
        store::save_template(&self.store, &template).await?;
        if let Some(older) = older.filter(|older| older.image != image) {
            self.drop_unnamed(&Root::Image(older.image)).await;
        }
        Ok(template)
    }

    /// Lists templates.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn template_list(&self) -> Result<Vec<Template>, Problem> {
        Ok(store::templates(&self.store).await?)
    }

    /// Removes a template; sandboxes made from it stay.
    ///
    /// # Errors
    /// When there is none.
    pub async fn template_remove(&self, input: TemplateRef) -> Result<Nothing, Problem> {
        let all = store::templates(&self.store).await?;
        let template = all.into_iter().find(|t| t.name == input.template);
        if !store::forget_template(&self.store, &input.template).await? {
            return Err(Problem::new(
                "template.not_found",
                ExitCode::NotFound,
                format!("there is no template {:?}", input.template),
            )
            .hint("'atelier template ls' lists those that there are"));
        }
        if let Some(template) = template {
            self.drop_unnamed(&Root::Image(template.image)).await;
        }
        Ok(Nothing {})
    }

    /// Starts the command of the sandbox's template and waits until it is ready.
    pub(super) async fn start_command(
        &self,
        record: &Record,
        guest: &Guest,
    ) -> Result<(), Problem> {
        let guest = guest.clone().with_token(self.secret.token("guest", record.id));
        if let Some(start) = &record.start {
            shell::start(&guest, start).await?;
        }
        let Some(ready) = &record.ready else { return Ok(()) };
        let until = tokio::time::Instant::now() + READY_LIMIT;
        loop {
            let ended = shell::run(&guest, ready, None, Some(READY_LIMIT)).await?;
            if ended.code == 0 {
                return Ok(());
            }
            if tokio::time::Instant::now() > until {
                return Err(Problem::new(
                    "template.not_ready",
                    ExitCode::Engine,
                    format!("{ready:?} did not succeed within 60 seconds: {}", ended.output.trim()),
                )
                .hint("look at the start command of the template"));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn builder_options(input: &TemplateBuildInput) -> SandboxOptions {
    let spec = &input.spec;
    let metadata = [("atelier.template".to_owned(), input.name.clone())];
    SandboxOptions {
        from: Some(spec.image.clone()),
        runtime: input.runtime.clone(),
        resources: spec.resources.clone(),
        variables: spec.variables.clone(),
        user: Some("root".into()),
        metadata: metadata.into(),
        ..SandboxOptions::default()
    }
}

/// The image's own configuration takes over what the template says.
fn describe(change: &mut ImageChange, name: &str, spec: &TemplateSpec) {
    change.created_by = format!("template {name}");
    for (key, value) in &spec.variables {
        let prefix = format!("{key}=");
        change.config.env.retain(|pair| !pair.starts_with(&prefix));
        change.config.env.push(format!("{prefix}{value}"));
    }
    change.config.user = spec.user.clone().or(change.config.user.take());
    change.config.workdir = spec.workdir.clone().or(change.config.workdir.take());
}

fn digest(inputs: &impl serde::Serialize) -> Result<String, Problem> {
    let text = serde_json::to_string(inputs).map_err(|e| broken(&e))?;
    let digest = Sha256::digest(text.as_bytes());
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn setup_failed(command: &str, ended: &shell::Ended) -> Problem {
    let tail: Vec<&str> = ended.output.lines().rev().take(20).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Problem::new(
        "template.setup_failed",
        ExitCode::Failed,
        format!("{command:?} ended with {}: {}", ended.code, tail.join("\n")),
    )
    .hint("try it in a sandbox of the same image: 'atelier sandbox run IMAGE'")
}

/// Names of templates and snapshots: `a-z`, `0-9`, `.`, `_`, `-`, `/`, and a tag after a colon.
pub(super) fn check_name(name: &str) -> Result<(), Problem> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-/".contains(&b);
    let part = |text: &str| {
        !text.is_empty() && text.len() <= 128 && text.bytes().all(allowed) && !text.contains("..")
    };
    let (first, tag) = name.split_once(':').unwrap_or((name, "latest"));
    if part(first) && part(tag) {
        return Ok(());
    }
    Err(Problem::new(
        "name.invalid",
        ExitCode::Usage,
        format!("{name:?} is no name for a template or a snapshot"),
    )
    .hint("use letters, digits, '.', '_' and '-', and perhaps a tag after a colon"))
}
