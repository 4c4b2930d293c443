//! What the MCP tools do: the same as the commands of `atelier tool`.

use std::sync::Arc;

use atelier_api::{Fault, Problem};
use atelier_mcp::{ClientOptions, Target};
use atelier_plugin::Slug;
use atelier_toolrun::lifecycle;
use atelier_tools::verbs::{self, AddOptions, RemoveOptions, SearchOptions, UpgradeOptions};
use atelier_tools::{MCP_REGISTRY, Result};
use serde::Serialize;
use serde_json::Value;
use tokio::runtime::Handle;

use super::consent::Rule;
use super::inputs::{Call, Named, Nothing, Query, Several, Source, Wires};
use crate::commands::tool::desk::Desk;

/// What a call works with.
pub(super) struct Calls {
    pub desk: Arc<Desk>,
    pub rule: Rule,
}

/// A value as its JSON.
pub(super) fn json(value: impl Serialize) -> std::result::Result<Value, Problem> {
    serde_json::to_value(value).map_err(|e| {
        Problem::new("mcp.result", atelier_api::ExitCode::Failed, format!("the result: {e}"))
    })
}

/// The answer to a call.
pub(super) type Answer = std::result::Result<Value, Problem>;

fn answer<T: Serialize>(result: Result<T>) -> Answer {
    json(result.map_err(|error| error.problem())?)
}

impl Calls {
    pub(super) fn search(&self, input: &Query) -> Answer {
        let changing = self.desk.context();
        let mcp = input.mcp_registry.then(|| MCP_REGISTRY.to_owned());
        let options = SearchOptions { query: input.query.clone(), offline: false, mcp };
        answer(verbs::search(&self.desk.home, &options, &changing.get()))
    }

    pub(super) fn list(&self, _: &Nothing) -> Answer {
        answer(verbs::ls(&self.desk.home))
    }

    pub(super) fn show(&self, input: &Named) -> Answer {
        answer(verbs::show(&self.desk.home, input.name.as_str()))
    }

    pub(super) fn status(&self, input: &Several) -> Answer {
        answer(self.desk.tools(&input.names).map(|tools| {
            self.desk.with_manner(|manner| lifecycle::status(&self.desk.home, &tools, manner))
        }))
    }

    pub(super) fn add(&self, input: &Source) -> Answer {
        let changing = self.desk.context();
        let context = atelier_tools::Context { ask: &self.rule, ..changing.get() };
        let options = AddOptions {
            what: input.source.clone(),
            folder: std::env::current_dir().unwrap_or_default(),
            slug: None,
            scripts: false,
        };
        answer(verbs::add(&self.desk.home, &options, &context))
    }

    pub(super) fn remove(&self, input: &Named) -> Answer {
        let changing = self.desk.context();
        let context = atelier_tools::Context { ask: &self.rule, ..changing.get() };
        let options = RemoveOptions { purge: false, force: false };
        answer(verbs::remove(&self.desk.home, input.name.as_str(), &options, &context))
    }

    pub(super) fn upgrade(&self, input: &Named) -> Answer {
        let changing = self.desk.context();
        let context = atelier_tools::Context { ask: &self.rule, ..changing.get() };
        let options = UpgradeOptions::default();
        answer(verbs::upgrade(&self.desk.home, input.name.as_str(), &options, &context))
    }

    pub(super) fn start(&self, input: &Several) -> Answer {
        answer(self.permitted("start", &input.names).and_then(|tools| {
            Ok(self.desk.with_manner(|m| lifecycle::start(&self.desk.home, &tools, m))?)
        }))
    }

    pub(super) fn stop(&self, input: &Several) -> Answer {
        answer(self.permitted("stop", &input.names).and_then(|tools| {
            let all = self.desk.tools(&[])?;
            Ok(self.desk.with_manner(|m| lifecycle::stop(&self.desk.home, &tools, &all, m))?)
        }))
    }

    fn permitted(&self, action: &str, names: &[Slug]) -> Result<Vec<Slug>> {
        let tools = self.desk.tools(names)?;
        let words: Vec<_> = tools.iter().map(Slug::as_str).collect();
        self.rule.permits(action, &words.join(" "))?;
        Ok(tools)
    }

    pub(super) fn plug(&self, input: &Wires) -> Answer {
        answer(self.permitted("plug", &input.names).and_then(|tools| {
            let wiring = self.desk.wiring(atelier_agents::Scope::User, false)?;
            wiring.plug(&tools, &wiring.agents(&names(input))?)
        }))
    }

    pub(super) fn unplug(&self, input: &Wires) -> Answer {
        answer(self.permitted("unplug", &input.names).and_then(|tools| {
            let wiring = self.desk.wiring(atelier_agents::Scope::User, false)?;
            wiring.unplug(&tools, &wiring.agents_with(&tools, &names(input))?)
        }))
    }

    /// The functions that an installed tool offers.
    pub(super) fn functions(&self, input: &Named) -> Answer {
        let target = self.server(&input.name)?;
        let options = ClientOptions::default();
        answer_of(Handle::current().block_on(atelier_mcp::inspect(&target, &options)))
    }

    /// Calls one of them.
    pub(super) fn call(&self, input: &Call) -> Answer {
        let target = self.server(&input.name)?;
        let arguments = Value::Object(input.arguments.clone());
        let options = ClientOptions::default();
        let call = atelier_mcp::call(&target, &input.function, arguments, &options);
        answer_of(Handle::current().block_on(call))
    }

    /// How an installed tool's server is reached: as agents reach it.
    fn server(&self, name: &Slug) -> std::result::Result<Target, Problem> {
        self.desk.tools(std::slice::from_ref(name)).map_err(|error| error.problem())?;
        Ok(self.desk.server(name))
    }
}

fn answer_of<T: Serialize>(result: atelier_mcp::Result<T>) -> Answer {
    json(result.map_err(|error| error.problem())?)
}

fn names(input: &Wires) -> Vec<&str> {
    input.agents.iter().map(String::as_str).collect()
}
