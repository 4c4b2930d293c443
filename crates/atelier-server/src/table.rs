//! Binds each operation to the service function that does it. Routes are made from this list; a
//! test compares it with the API's own.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use atelier_api::env::{
    EnvApply, EnvCreate, EnvDiff, EnvList, EnvLogs, EnvRemove, EnvShow, EnvStop,
};
use atelier_api::system::{AuditList, Nothing, SystemDoctor, SystemStatus, SystemStop};
use atelier_api::{API_ROOT, Method, Operation, Problem};
use atelier_auth::Caller;
use axum::body::Bytes;
use axum::extract::{Extension, Path, Query, State};
use axum::response::IntoResponse;
use axum::routing::MethodFilter;
use axum::{Json, Router};

use crate::app::App;
use crate::dispatch::dispatch;
use crate::doctor;
use crate::http::problem;
use crate::input::assemble;

/// Routes, and the names of the operations they serve.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) router: Router<Arc<App>>,
    pub(crate) names: Vec<&'static str>,
}

/// Every operation with what does it.
pub(crate) fn table() -> Table {
    let mut table = Table::default();
    table.bind::<SystemStatus, _>(|app, _| async move { app.status().await });
    table.bind::<SystemDoctor, _>(|app, i| async move { doctor::check(&app, i.fix).await });
    table.bind::<SystemStop, _>(|app, _| async move {
        app.stop.cancel();
        Ok(Nothing {})
    });
    table.bind::<AuditList, _>(|app, i| async move { Ok(app.audit.list(i.limit).await?) });
    table.bind::<EnvCreate, _>(|app, i| async move { app.workshop.create(i).await });
    table.bind::<EnvList, _>(|app, i| async move { app.workshop.list(i).await });
    table.bind::<EnvShow, _>(|app, i| async move { app.workshop.show(i).await });
    table.bind::<EnvDiff, _>(|app, i| async move { app.workshop.diff(i).await });
    table.bind::<EnvApply, _>(|app, i| async move { app.workshop.apply(i).await });
    table.bind::<EnvStop, _>(|app, i| async move { app.workshop.stop(i).await });
    table.bind::<EnvRemove, _>(|app, i| async move { app.workshop.remove(i).await });
    table.bind::<EnvLogs, _>(|app, i| async move { app.workshop.logs(i).await });
    table
}

impl Table {
    fn bind<O, F>(&mut self, serve: fn(Arc<App>, O::Input) -> F)
    where
        O: Operation,
        F: Future<Output = Result<O::Output, Problem>> + Send + 'static,
    {
        let handler = move |State(app): State<Arc<App>>,
                            Extension(caller): Extension<Caller>,
                            Path(path): Path<HashMap<String, String>>,
                            Query(query): Query<Vec<(String, String)>>,
                            body: Bytes| async move {
            let answer = match assemble::<O>(path, query, &body) {
                Ok(input) => {
                    let service = app.clone();
                    dispatch::<O, _>(&app, &caller, input, |i| serve(service, i)).await
                }
                Err(wrong) => Err(wrong),
            };
            match answer {
                Ok(output) => Json(output).into_response(),
                Err(failed) => problem(&failed).into_response(),
            }
        };
        let filter = match O::METHOD {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
            Method::Delete => MethodFilter::DELETE,
        };
        let path = format!("{API_ROOT}{}", O::PATH);
        let router = std::mem::take(&mut self.router);
        self.router = router.route(&path, axum::routing::on(filter, handler));
        self.names.push(O::NAME);
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
        let mut bound = table().names;
        declared.0.sort_unstable();
        bound.sort_unstable();
        assert_eq!(bound, declared.0);
    }
}
