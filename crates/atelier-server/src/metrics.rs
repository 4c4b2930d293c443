//! What a Prometheus reads at `/metrics`, in OpenMetrics' text
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>): how much there is, what each sandbox
//! uses, how operations go. Sandboxes' figures are those of their newest samples.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use atelier_api::sandbox::{MetricsSample, Sandbox, SandboxListInput, SandboxState};
use atelier_api::{Effect, Problem};
use atelier_auth::Caller;
use axum::extract::{Extension, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::app::{App, resident_bytes};
use crate::http::problem;

const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Upper bounds, in seconds: most calls take milliseconds; a pull or a build takes minutes.
const BOUNDS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0];

type Fraction = Gauge<f64, AtomicU64>;
type Seconds = Counter<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    operation: &'static str,
    /// `ok`, or the problem's code.
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOperation {
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    runtime: String,
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSandbox {
    sandbox: String,
    name: String,
    runtime: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: String,
}

/// How operations went since the control plane started.
#[derive(Clone)]
pub(crate) struct Calls {
    outcomes: Family<Outcome, Counter>,
    seconds: Family<OfOperation, Histogram, fn() -> Histogram>,
}

impl Default for Calls {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BOUNDS);
        Self { outcomes: Family::default(), seconds: Family::new_with_constructor(histogram) }
    }
}

impl Calls {
    /// Counts one that ended.
    pub(crate) fn count(&self, operation: &'static str, took: Duration, wrong: Option<&Problem>) {
        let code = wrong.map_or_else(|| "ok".to_owned(), |problem| problem.code.clone());
        self.outcomes.get_or_create(&Outcome { operation, code }).inc();
        self.seconds.get_or_create(&OfOperation { operation }).observe(took.as_secs_f64());
    }

    fn register(&self, all: &mut Registry) {
        all.register("operations", "Calls that ended, by their outcome", self.outcomes.clone());
        let seconds = self.seconds.clone();
        all.register_with_unit("operation_duration", "How long calls took", Unit::Seconds, seconds);
    }
}

/// Answers a scrape.
pub(crate) async fn answer(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Response {
    if let Err(denied) = caller.authorise("system.metrics", Effect::Read, app.owner) {
        return problem(&denied.into()).into_response();
    }
    match text(&app).await {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT)], text).into_response(),
        Err(failed) => problem(&failed).into_response(),
    }
}

async fn text(app: &App) -> Result<String, Problem> {
    let mut all = Registry::with_prefix("atelier");
    control_plane(app, &mut all).await?;
    app.calls.register(&mut all);
    let states = app.fleet.list(&SandboxListInput::default())?;
    count(&states, &mut all);
    Used::of(&app.fleet.newest_samples()).register(&mut all);
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = encode(&mut text, &all);
    Ok(text)
}

async fn control_plane(app: &App, all: &mut Registry) -> Result<(), Problem> {
    all.register("build", "What runs", Info::new(Build { version: app.build.clone() }));
    let started: Fraction = Gauge::default();
    started.set(app.started_at.as_duration().as_secs_f64());
    all.register_with_unit("start_time", "When it started, since 1970", Unit::Seconds, started);
    let memory = "Resident memory of the control plane";
    all.register_with_unit("resident_memory", memory, Unit::Bytes, whole(resident_bytes()));
    let environments = app.workshop.counts().await?;
    all.register("environments", "Environments", whole(environments.total));
    let running = whole(environments.running);
    all.register("environments_running", "Environments with a running sandbox", running);
    let jobs = app.workshop.jobs().await?.len() as u64;
    all.register("jobs", "Changes of several steps that are under way", whole(jobs));
    Ok(())
}

/// Sandboxes by runtime and state.
fn count(sandboxes: &[Sandbox], all: &mut Registry) {
    let family = Family::<OfState, Gauge>::default();
    for sandbox in sandboxes {
        let of = OfState { runtime: sandbox.runtime.clone(), state: word(sandbox.state) };
        family.get_or_create(&of).inc();
    }
    all.register("sandboxes", "Sandboxes", family);
}

/// As the API writes it.
fn word(state: SandboxState) -> String {
    let word = serde_json::to_value(state).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}

fn whole(value: u64) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(signed(value));
    gauge
}

/// Gauges are signed; more than 8 EiB of anything is the most that there is.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// What sandboxes that run use.
#[derive(Default)]
struct Used {
    cpu: Family<OfSandbox, Seconds>,
    cpus: Family<OfSandbox, Fraction>,
    gauges: [Family<OfSandbox, Gauge>; GAUGES.len()],
    counters: [Family<OfSandbox, Counter>; COUNTERS.len()],
}

type Figure = (&'static str, Option<Unit>, &'static str, fn(&MetricsSample) -> u64);

const GAUGES: [Figure; 6] = [
    ("memory_used", Some(Unit::Bytes), "Memory in use, without page cache", |s| s.memory_used),
    ("memory_cache", Some(Unit::Bytes), "Page cache", |s| s.memory_cache),
    ("memory_limit", Some(Unit::Bytes), "Memory that it may use", |s| s.memory_total),
    ("disk_used", Some(Unit::Bytes), "Bytes on its disk", |s| s.disk_used),
    ("disk_limit", Some(Unit::Bytes), "What its disk can hold", |s| s.disk_total),
    ("processes", None, "Processes and threads", |s| s.processes),
];

const COUNTERS: [Figure; 2] = [
    ("network_sent", Some(Unit::Bytes), "Sent since it started", |s| s.network_sent),
    ("network_received", Some(Unit::Bytes), "Received since it started", |s| s.network_received),
];

impl Used {
    fn of(samples: &[(Sandbox, MetricsSample)]) -> Self {
        let all = Self::default();
        for (sandbox, sample) in samples {
            all.add(sandbox, sample);
        }
        all
    }

    fn add(&self, sandbox: &Sandbox, sample: &MetricsSample) {
        let of = OfSandbox {
            sandbox: sandbox.id.clone(),
            name: sandbox.name.as_ref().map(ToString::to_string).unwrap_or_default(),
            runtime: sandbox.runtime.clone(),
        };
        self.cpu.get_or_create(&of).inc_by(sample.cpu_seconds);
        self.cpus.get_or_create(&of).set(sample.cpu_count);
        for (family, (.., figure)) in self.gauges.iter().zip(GAUGES) {
            family.get_or_create(&of).set(signed(figure(sample)));
        }
        for (family, (.., figure)) in self.counters.iter().zip(COUNTERS) {
            family.get_or_create(&of).inc_by(figure(sample));
        }
    }

    fn register(self, all: &mut Registry) {
        let all = all.sub_registry_with_prefix("sandbox");
        all.register_with_unit("cpu", "Processor time since it started", Unit::Seconds, self.cpu);
        all.register("cpus", "Processors that it may use", self.cpus);
        for (family, (name, unit, help, _)) in self.gauges.into_iter().zip(GAUGES) {
            register(all, name, unit, help, family);
        }
        for (family, (name, unit, help, _)) in self.counters.into_iter().zip(COUNTERS) {
            register(all, name, unit, help, family);
        }
    }
}

fn register(all: &mut Registry, name: &str, unit: Option<Unit>, help: &str, metric: impl Metric) {
    match unit {
        Some(unit) => all.register_with_unit(name, help, unit, metric),
        None => all.register(name, help, metric),
    }
}
