//! Binds each operation to the service function that does it. Routes are made from this list, and so
//! are the calls of those who speak another protocol; a test compares it with the API's own.

use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};

use atelier_api::env::{
    EnvApply, EnvCreate, EnvDiff, EnvExport, EnvList, EnvLogs, EnvRecreate, EnvRemove, EnvShow,
    EnvStop, EnvSync, EnvUnapplied,
};
use atelier_api::far::FarLink;
use atelier_api::gc::SystemGc;
use atelier_api::hostname::{DnsStatus, HostnamesAdd, HostnamesList, HostnamesRemove};
use atelier_api::image::{
    ImageBuild, ImageImport, ImageList, ImagePrune, ImagePull, ImageRemove, TemplateBuild,
    TemplateCommit, TemplateList, TemplateRemove,
};
use atelier_api::inside::{
    SandboxDelete, SandboxExec, SandboxFiles, SandboxMakeFolder, SandboxMove, SandboxProcesses,
    SandboxRead, SandboxSignal, SandboxWrite,
};
use atelier_api::sandbox::{
    RuntimeList, SandboxCreate, SandboxExtend, SandboxFork, SandboxList, SandboxMetrics,
    SandboxNetwork, SandboxPause, SandboxRemove, SandboxRename, SandboxRestore, SandboxResume,
    SandboxShow, SandboxSnapshot, SandboxStart, SandboxStop, SnapshotList, SnapshotRemove,
};
use atelier_api::secret::{SecretCreate, SecretList, SecretRemove, SecretShow, SecretUpdate};
use atelier_api::seed::{SeedList, SeedRemove, SeedSave};
use atelier_api::service::{
    EnvDown, EnvRestart, EnvServiceLogs, EnvStatus, EnvUp, EnvUrl, NetworkInfo, NetworkRecreate,
};
use atelier_api::system::{AuditList, Nothing, SystemDoctor, SystemStatus, SystemStop};
use atelier_api::token::{NewToken, TokenCreate, TokenCreateInput, TokenList, TokenRevoke};
use atelier_api::volume::{VolumeCreate, VolumeList, VolumeRemove, VolumeShow};
use atelier_api::{API_ROOT, ExitCode, Method, Operation, Problem};
use atelier_auth::Caller;
use axum::body::Bytes;
use axum::extract::{Extension, Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter};
use axum::{Json, Router};

use crate::app::App;
use crate::dispatch::dispatch;
use crate::doctor;
use crate::http::problem;
use crate::input::assemble;

type Answer<O> = Pin<Box<dyn Future<Output = Result<<O as Operation>::Output, Problem>> + Send>>;

type Serve<O> = dyn Fn(Arc<App>, <O as Operation>::Input) -> Answer<O> + Send + Sync;

/// What does one operation.
struct Service<O: Operation>(Box<Serve<O>>);

/// Routes, and the services behind them by the names of their operations.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) router: Router<Arc<App>>,
    services: HashMap<&'static str, Box<dyn Any + Send + Sync>>,
}

static TABLE: LazyLock<Table> = LazyLock::new(table);

/// The routes of every operation.
pub(crate) fn router() -> Router<Arc<App>> {
    TABLE.router.clone()
}

/// Calls an operation through the one door.
///
/// # Errors
/// The operation's own problem; `auth.denied`.
pub(crate) async fn call<O: Operation>(
    app: &Arc<App>,
    caller: &Caller,
    input: O::Input,
) -> Result<O::Output, Problem> {
    let service = TABLE.services.get(O::NAME).and_then(|s| s.downcast_ref::<Service<O>>());
    let unbound = || Problem::new("internal", ExitCode::Failed, format!("{} is unbound", O::NAME));
    let service = service.ok_or_else(unbound)?;
    dispatch::<O, _>(app, caller, input, |input| (service.0)(app.clone(), input)).await
}

/// What a request carries: the caller, and where an operation's input may stand.
struct Asked {
    caller: Caller,
    path: HashMap<String, String>,
    query: Vec<(String, String)>,
    body: Bytes,
}

type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// One route. Not generic, so that the router's machinery is compiled once and not for each operation.
fn route(method: Method, answer: fn(Arc<App>, Asked) -> Answering) -> MethodRouter<Arc<App>> {
    let filter = match method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Delete => MethodFilter::DELETE,
    };
    let handler =
        move |State(app): State<Arc<App>>,
              Extension(caller): Extension<Caller>,
              Path(path): Path<HashMap<String, String>>,
              Query(query): Query<Vec<(String, String)>>,
              body: Bytes| answer(app, Asked { caller, path, query, body });
    axum::routing::on(filter, handler)
}

/// Answers a request for an operation.
fn answer<O: Operation>(app: Arc<App>, asked: Asked) -> Answering {
    Box::pin(async move {
        let answer = match assemble::<O>(asked.path, asked.query, &asked.body) {
            Ok(input) => call::<O>(&app, &asked.caller, input).await,
            Err(wrong) => Err(wrong),
        };
        match answer {
            Ok(output) => Json(output).into_response(),
            Err(failed) => problem(&failed).into_response(),
        }
    })
}

/// Every operation with what does it.
fn table() -> Table {
    let mut table = Table::default();
    table.bind::<SystemStatus, _>(|app, _| async move { app.status().await });
    table.bind::<SystemDoctor, _>(|app, i| async move { doctor::check(&app, i.fix).await });
    table.bind::<SystemStop, _>(|app, _| async move {
        app.stop.cancel();
        Ok(Nothing {})
    });
    table.bind::<SystemGc, _>(|app, i| async move { app.workshop.gc(i).await });
    table.bind::<AuditList, _>(|app, i| async move { Ok(app.audit.list(i.limit).await?) });
    table.bind::<EnvCreate, _>(|app, i| async move { app.workshop.create(i).await });
    table.bind::<EnvList, _>(|app, i| async move { app.workshop.list(i).await });
    table.bind::<EnvShow, _>(|app, i| async move { app.workshop.show(i).await });
    table.bind::<EnvDiff, _>(|app, i| async move { app.workshop.diff(i).await });
    table.bind::<EnvApply, _>(|app, i| async move { app.workshop.apply(i).await });
    table.bind::<EnvUnapplied, _>(|app, i| async move { app.workshop.unapplied(i).await });
    table.bind::<EnvSync, _>(|app, i| async move { app.workshop.sync(i).await });
    table.bind::<EnvRecreate, _>(|app, i| async move { app.workshop.recreate(i).await });
    table.bind::<EnvExport, _>(|app, i| async move { app.workshop.export(i).await });
    table.bind::<EnvStop, _>(|app, i| async move { app.workshop.stop(i).await });
    table.bind::<EnvRemove, _>(|app, i| async move { app.workshop.remove(i).await });
    table.bind::<EnvLogs, _>(|app, i| async move { app.workshop.logs(i).await });
    table.bind::<FarLink, _>(|app, i| async move { app.far.link(&i.host).await });
    services(&mut table);
    sandboxes(&mut table);
    inside(&mut table);
    images(&mut table);
    table
}

fn services(table: &mut Table) {
    table.bind::<EnvUp, _>(|app, i| async move { app.workshop.up(i).await });
    table.bind::<EnvDown, _>(|app, i| async move { app.workshop.down(i).await });
    table.bind::<EnvRestart, _>(|app, i| async move { app.workshop.restart(i).await });
    table.bind::<EnvStatus, _>(|app, i| async move { app.workshop.status(i).await });
    table.bind::<EnvUrl, _>(|app, i| async move { app.workshop.service_url(i).await });
    table.bind::<EnvServiceLogs, _>(|app, i| async move { app.workshop.service_logs(i).await });
    table.bind::<SeedSave, _>(|app, i| async move { app.workshop.seed_save(i).await });
    table.bind::<SeedList, _>(|app, i| async move { app.workshop.seed_list(i).await });
    table.bind::<SeedRemove, _>(|app, i| async move { app.workshop.seed_remove(i).await });
    table.bind::<NetworkInfo, _>(|app, _| async move { app.workshop.network_info().await });
    table
        .bind::<NetworkRecreate, _>(|app, i| async move { app.workshop.network_recreate(i).await });
    table.bind::<HostnamesAdd, _>(|app, i| async move { app.workshop.hostname_add(i).await });
    table.bind::<HostnamesRemove, _>(|app, i| async move { app.workshop.hostname_remove(i).await });
    table.bind::<HostnamesList, _>(|app, i| async move { app.workshop.hostname_list(i).await });
    table.bind::<DnsStatus, _>(|app, _| async move { Ok(app.names.report(&app.workshop).await) });
}

fn sandboxes(table: &mut Table) {
    table.bind::<SandboxCreate, _>(|app, i| async move { app.fleet.create(i).await });
    table.bind::<SandboxList, _>(|app, i| async move { app.fleet.list(&i) });
    table.bind::<SandboxShow, _>(|app, i| async move { app.fleet.show(&i) });
    table.bind::<SandboxStart, _>(|app, i| async move { app.fleet.start(i).await });
    table.bind::<SandboxStop, _>(|app, i| async move { app.fleet.stop(i).await });
    table.bind::<SandboxPause, _>(|app, i| async move { app.fleet.pause(i).await });
    table.bind::<SandboxResume, _>(|app, i| async move { app.fleet.resume(i).await });
    table.bind::<SandboxExtend, _>(|app, i| async move { app.fleet.extend(i).await });
    table.bind::<SandboxRename, _>(|app, i| async move { app.fleet.rename(i).await });
    table.bind::<SandboxNetwork, _>(|app, i| async move { app.fleet.network(i).await });
    table.bind::<SandboxSnapshot, _>(|app, i| async move { app.fleet.snapshot(i).await });
    table.bind::<SandboxRestore, _>(|app, i| async move { app.fleet.restore(i).await });
    table.bind::<SandboxFork, _>(|app, i| async move { app.fleet.fork(i).await });
    table.bind::<SandboxMetrics, _>(|app, i| async move { app.fleet.metrics(i).await });
    table.bind::<SandboxRemove, _>(|app, i| async move { app.fleet.remove(i).await });
    table.bind::<SnapshotList, _>(|app, i| async move { app.fleet.snapshot_list(i).await });
    table.bind::<SnapshotRemove, _>(|app, i| async move { app.fleet.snapshot_remove(i).await });
    table.bind::<VolumeCreate, _>(|app, i| async move { app.fleet.volume_create(i).await });
    table.bind::<VolumeList, _>(|app, _| async move { app.fleet.volume_list().await });
    table.bind::<VolumeShow, _>(|app, i| async move { app.fleet.volume_show(i).await });
    table.bind::<VolumeRemove, _>(|app, i| async move { app.fleet.volume_remove(i).await });
    table.bind::<SecretCreate, _>(|app, i| async move { app.fleet.secret_create(i).await });
    table.bind::<SecretUpdate, _>(|app, i| async move { app.fleet.secret_update(i).await });
    table.bind::<SecretList, _>(|app, _| async move { app.fleet.secret_list().await });
    table.bind::<SecretShow, _>(|app, i| async move { app.fleet.secret_show(i).await });
    table.bind::<SecretRemove, _>(|app, i| async move { app.fleet.secret_remove(i).await });
    table.bind::<RuntimeList, _>(|app, _| async move { app.fleet.runtimes().await });
    table.bind::<TokenCreate, _>(|app, i| async move { token(&app, i).await });
    table.bind::<TokenList, _>(|app, _| async move { Ok(app.tokens.list().await?) });
    table.bind::<TokenRevoke, _>(|app, i| async move {
        app.tokens.revoke(&i.token).await?;
        Ok(Nothing {})
    });
}

async fn token(app: &App, input: TokenCreateInput) -> Result<NewToken, Problem> {
    let span = |s: u64| jiff::SignedDuration::from_secs(i64::try_from(s).unwrap_or(i64::MAX));
    let ends = input.expires_in.map(|s| jiff::Timestamp::now().checked_add(span(s)));
    let ends = ends.transpose().map_err(|e| {
        Problem::new("token.expires", ExitCode::Usage, format!("that time can't be kept: {e}"))
    })?;
    let (token, secret) = app.tokens.create(&input.name, &input.scopes, ends).await?;
    Ok(NewToken { token, secret })
}

fn inside(table: &mut Table) {
    table.bind::<SandboxExec, _>(|app, i| async move { app.fleet.exec(i).await });
    table.bind::<SandboxFiles, _>(|app, i| async move { app.fleet.files(i).await });
    table.bind::<SandboxRead, _>(|app, i| async move { app.fleet.read_file(i).await });
    table.bind::<SandboxWrite, _>(|app, i| async move { app.fleet.write_file(i).await });
    table.bind::<SandboxDelete, _>(|app, i| async move { app.fleet.delete_file(i).await });
    table.bind::<SandboxMakeFolder, _>(|app, i| async move { app.fleet.make_folder(i).await });
    table.bind::<SandboxMove, _>(|app, i| async move { app.fleet.move_file(i).await });
    table.bind::<SandboxProcesses, _>(|app, i| async move { app.fleet.processes(i).await });
    table.bind::<SandboxSignal, _>(|app, i| async move { app.fleet.signal(i).await });
}

fn images(table: &mut Table) {
    table.bind::<ImageList, _>(|app, _| async move { app.fleet.image_list() });
    table.bind::<ImagePull, _>(|app, i| async move { app.fleet.image_pull(i).await });
    table.bind::<ImageImport, _>(|app, i| async move { app.fleet.image_import(i).await });
    table.bind::<ImageBuild, _>(|app, i| async move { app.fleet.image_build(i).await });
    table.bind::<ImageRemove, _>(|app, i| async move { app.fleet.image_remove(i).await });
    table.bind::<ImagePrune, _>(|app, i| async move { app.fleet.image_prune(i).await });
    table.bind::<TemplateBuild, _>(|app, i| async move { app.fleet.template_build(i).await });
    table.bind::<TemplateCommit, _>(|app, i| async move { app.fleet.template_commit(i).await });
    table.bind::<TemplateList, _>(|app, _| async move { app.fleet.template_list().await });
    table.bind::<TemplateRemove, _>(|app, i| async move { app.fleet.template_remove(i).await });
}

impl Table {
    fn bind<O, F>(&mut self, serve: fn(Arc<App>, O::Input) -> F)
    where
        O: Operation,
        F: Future<Output = Result<O::Output, Problem>> + Send + 'static,
    {
        let path = format!("{API_ROOT}{}", O::PATH);
        let router = std::mem::take(&mut self.router);
        self.router = router.route(&path, route(O::METHOD, answer::<O>));
        let service = Service::<O>(Box::new(move |app, input| Box::pin(serve(app, input))));
        self.services.insert(O::NAME, Box::new(service));
    }
}

#[cfg(test)]
mod tests {
    use atelier_api::Effect;
    use atelier_api::table::{Visitor, visit_all};

    use super::*;

    #[test]
    fn what_is_not_audited_is_in_the_reviewed_list() {
        struct Unaudited(Vec<&'static str>);
        impl Visitor for Unaudited {
            fn visit<O: Operation>(&mut self) {
                if O::EFFECT == Effect::Read {
                    self.0.push(O::NAME);
                }
            }
        }
        let mut found = Unaudited(Vec::new());
        visit_all(&mut found);
        found.0.sort_unstable();
        let reviewed: Vec<&str> =
            include_str!("../unaudited.txt").lines().filter(|l| !l.starts_with('#')).collect();
        assert_eq!(found.0, reviewed);
    }

    #[test]
    fn every_operation_is_bound_once() {
        struct Names(Vec<&'static str>);
        impl Visitor for Names {
            fn visit<O: Operation>(&mut self) {
                self.0.push(O::NAME);
            }
        }
        let mut declared = Names(Vec::new());
        visit_all(&mut declared);
        let mut bound: Vec<_> = TABLE.services.keys().copied().collect();
        declared.0.sort_unstable();
        bound.sort_unstable();
        assert_eq!(bound, declared.0);
    }
}
