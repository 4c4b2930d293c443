//! The table of MCP tools over `atelier tool`.

use std::sync::Arc;

use atelier_api::{ExitCode, Problem};
use atelier_config::{Consent, Layer, Settings};
use atelier_mcp::{Manner, Table, Tool};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::calls::{Answer, Calls};
use super::consent::Rule;
use super::shelf::Shelf;
use crate::commands::tool::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;

const INSTRUCTIONS: &str = "\
Tools that the user has installed with Atelier, and more that can be installed. Look with tool_search and \
tool_list; see what an installed one offers with tool_functions; use it with tool_call. Adding, removing \
and wiring tools changes the user's machine: the user is asked, and where nobody can be asked or the settings \
refuse it, tell the user the command that the error names.";

const LOOK: Manner =
    Manner { read_only: true, destructive: false, idempotent: true, open_world: false };
const CHANGE: Manner =
    Manner { read_only: false, destructive: false, idempotent: true, open_world: true };
const LOSE: Manner =
    Manner { read_only: false, destructive: true, idempotent: true, open_world: false };

/// What is served: whose calls they are is told with each.
#[derive(Clone)]
struct Served {
    desk: Arc<Desk>,
    consent: Consent,
}

/// The table, over the home of the user; `is_whole` when no part of Atelier was asked for alone.
pub(super) fn tools(context: &Context<'_>, is_whole: bool) -> Result<Table, Failure> {
    let get = |name: &str| std::env::var_os(name);
    let settings = Settings::load(&context.home()?, None, get, Layer::default())?;
    let desk = Arc::new(Desk::new(context, false, true)?);
    let calls = Served { desk: desk.clone(), consent: settings.consent.value };
    let plane = is_whole.then(|| context.hooks.build().to_owned());
    Ok(Table {
        name: "atelier".to_owned(),
        title: Some("Atelier".to_owned()),
        version: context.hooks.version().to_owned(),
        instructions: Some(INSTRUCTIONS.to_owned()),
        shelf: Some(Arc::new(Shelf { desk, plane })),
        tools: vec![
            tool(
                &calls,
                LOOK,
                "tool_search",
                "Search the registries for tools that can be installed",
                Calls::search,
            ),
            tool(&calls, LOOK, "tool_list", "List the installed tools", Calls::list),
            tool(&calls, LOOK, "tool_show", "Show one installed tool in full", Calls::show),
            tool(
                &calls,
                LOOK,
                "tool_status",
                "Show how the services of installed tools are",
                Calls::status,
            ),
            tool(&calls, CHANGE, "tool_add", "Install a tool", Calls::add),
            tool(
                &calls,
                LOSE,
                "tool_remove",
                "Remove an installed tool, out of every agent as well",
                Calls::remove,
            ),
            tool(
                &calls,
                CHANGE,
                "tool_upgrade",
                "Bring an installed tool to its newest version",
                Calls::upgrade,
            ),
            tool(
                &calls,
                CHANGE,
                "tool_start",
                "Start the services of installed tools",
                Calls::start,
            ),
            tool(&calls, CHANGE, "tool_stop", "Stop the services of installed tools", Calls::stop),
            tool(
                &calls,
                CHANGE,
                "tool_plug",
                "Wire installed tools into coding agents",
                Calls::plug,
            ),
            tool(&calls, CHANGE, "tool_unplug", "Take tools out of coding agents", Calls::unplug),
            tool(
                &calls,
                LOOK,
                "tool_functions",
                "List what an installed tool's MCP server offers: functions with their arguments, prompts, resources",
                Calls::functions,
            ),
            tool(&calls, CHANGE, "tool_call", "Call a function of an installed tool", Calls::call),
        ],
    })
}

/// A tool whose work blocks: it has a thread of its own.
fn tool<I: DeserializeOwned + JsonSchema + Send + 'static>(
    served: &Served,
    manner: Manner,
    name: &str,
    about: &str,
    work: fn(&Calls, &I) -> Answer,
) -> Tool {
    let served = served.clone();
    Tool::typed::<_, serde_json::Value, _, _>(name, about, move |input: I, client| {
        let Served { desk, consent } = served.clone();
        let calls = Calls { desk, rule: Rule { consent, client } };
        async move {
            let done = tokio::task::spawn_blocking(move || work(&calls, &input)).await;
            done.unwrap_or_else(|error| {
                Err(Problem::new(
                    "mcp.broken",
                    ExitCode::Failed,
                    format!("the call broke: {error}"),
                ))
            })
        }
    })
    .with_manner(manner)
}
