//! What labels say about a service: its ingress, host names, sharing, dumps.

use serde_json::{Map, Value};

use crate::error::{ComposeError, Result};
use crate::plan::ServicePlan;
use crate::scope::Scope;

/// The names of services that a person would open first, when no label says.
const FRONT: [&str; 4] = ["nginx", "web", "app", "frontend"];
/// The longest host name, in bytes (RFC 1035 section 2.3.4).
const LONGEST: usize = 253;

/// The value of the first of the labels that is there.
pub(crate) fn label(service: &Value, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match service.get("labels")? {
        Value::Object(labels) => text(labels.get(*name)?),
        Value::Array(labels) => labels.iter().filter_map(Value::as_str).find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == *name).then(|| value.to_owned())
        }),
        _ => None,
    })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Whether a label is there and says yes.
pub(crate) fn truthy(service: &Value, names: &[&str]) -> bool {
    label(service, names).is_some_and(|v| yes(&v))
}

fn yes(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on")
}

/// Whether a label says that the service is no web server for us.
pub(crate) fn no_web(service: &Value) -> bool {
    label(service, &["atelier.ingress"]).is_some_and(|v| !yes(&v))
}

/// The further host names of a service, complete and without doubles.
pub(crate) fn hostnames(name: &str, service: &Value, scope: &Scope) -> Result<Vec<String>> {
    let list = label(service, &["atelier.hostnames", "cilo.hostnames"]).unwrap_or_default();
    let mut names = Vec::new();
    for given in list.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        let host = complete(&tokens(given, scope), scope);
        if !is_host(&host) {
            let what =
                format!("the label of service {name:?} has {given:?}, which is no host name");
            return Err(ComposeError::invalid(what));
        }
        if !names.contains(&host) {
            names.push(host);
        }
    }
    Ok(names)
}

/// A name with the environment's own behind it, unless it ends with the suffix already.
fn complete(name: &str, scope: &Scope) -> String {
    let name = name.trim_matches('.').to_ascii_lowercase();
    let suffix = scope.suffix().to_ascii_lowercase();
    if suffix.is_empty() || name == suffix || name.ends_with(&format!(".{suffix}")) {
        return name;
    }
    format!("{name}.{}.{suffix}", scope.env.to_ascii_lowercase())
}

fn tokens(text: &str, scope: &Scope) -> String {
    let mut text = text.to_owned();
    for (token, value) in
        [("PROJECT", scope.project.as_str()), ("ENV", &scope.env), ("DNS_SUFFIX", scope.suffix())]
    {
        for house in ["ATELIER", "CILO"] {
            text = text.replace(&format!("${{{house}_{token}}}"), value);
        }
    }
    text
}

/// RFC 1123, with `*.` in front and with underscores, which service names have.
fn is_host(name: &str) -> bool {
    let good = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    name.len() <= LONGEST && name.strip_prefix("*.").unwrap_or(name).split('.').all(good)
}

/// Marks the one service that answers under the environment's own name.
pub(crate) fn choose_ingress(
    plans: &mut [ServicePlan],
    services: &Map<String, Value>,
    notes: &mut Vec<String>,
) {
    let labelled =
        |p: &&ServicePlan| truthy(&services[&p.name], &["atelier.ingress", "cilo.ingress"]);
    let mut asked: Vec<String> = plans.iter().filter(labelled).map(|p| p.name.clone()).collect();
    asked.sort();
    if asked.len() > 1 {
        notes.push(format!(
            "{} ask for the environment's own name by label; {} gets it",
            asked.join(" and "),
            asked[0]
        ));
    }
    let web = |name: &str| plans.iter().any(|p| p.name == name && p.web.is_some());
    let front = || FRONT.iter().find(|n| web(n)).map(|n| (*n).to_owned());
    let first = || plans.iter().filter(|p| p.web.is_some()).map(|p| p.name.clone()).min();
    let Some(chosen) = asked.first().cloned().or_else(front).or_else(first) else { return };
    for plan in plans.iter_mut().filter(|p| p.name == chosen) {
        plan.ingress = true;
        if plan.web.is_none() {
            notes.push(format!(
                "service {chosen} is to answer HTTP, and no port of it is known: \
                 add `expose`, or the label atelier.ingress.port"
            ));
        }
    }
}

/// A mapping of scalars as a mapping of texts.
pub(crate) fn texts(map: &Map<String, Value>) -> std::collections::BTreeMap<String, String> {
    map.iter().map(|(key, value)| (key.clone(), text(value).unwrap_or_default())).collect()
}
