//! A project rewritten for one environment: one complete file, and what stands in it.

mod labels;
mod networks;
mod outside;
mod paths;
mod ports;
mod service;
mod shares;
mod volumes;

use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::model::{Model, escaped};
use crate::plan::{Generated, ServicePlan};
use crate::scope::Scope;

pub(crate) use paths::Folders;
pub(crate) use service::replicas;

/// Rewrites a project for one environment.
///
/// # Errors
/// `Unsupported` for what cannot be apart from other environments (a service inside the network of
/// a shared one), `NoRoom` when the subnet is too small, `Invalid` for labels that are no host
/// names, `BadScope`.
pub fn generate(model: &Model, scope: &Scope) -> Result<Generated> {
    scope.check()?;
    let mut notes = Vec::new();
    let mut file = model.0.as_object().cloned().unwrap_or_default();
    file.insert("name".to_owned(), json!(scope.name));
    // They mean nothing to Compose; what anchors were made of can be large.
    file.retain(|key, _| !key.starts_with("x-"));
    let mut services = model.section("services").clone();
    services.retain(|name, _| !scope.shared.contains(name));
    let mut networks = networks::plan(model, scope, &mut notes)?;
    let shared = shares::uses(model, scope, &networks);
    for (name, service) in &mut services {
        shares::leave_out(name, service, scope)?;
    }
    let addresses = networks::attach(&mut services, &mut networks, &mut notes)?;
    let volumes = volumes::rewrite(&mut file, scope, &mut notes);
    let variables = outside::rewrite(&mut file, scope, &mut notes);
    let mut plans = Vec::new();
    for (name, service) in &mut services {
        let addresses = addresses.get(name).cloned().unwrap_or_default();
        let mut plan = service::plan(name, service, scope, &volumes)?;
        plan.addresses = addresses;
        service::rewrite(name, service, scope, &networks, &mut notes);
        plans.push(plan);
    }
    if scope.loopback {
        ports::publish_all(&mut services, &plans);
    }
    labels::choose_ingress(&mut plans, &services, &mut notes);
    file.insert("services".to_owned(), Value::Object(services));
    file.insert("networks".to_owned(), networks.section());
    // Of volumes only those that services here use: the shared ones' stay with them.
    let volumes = volumes::only_used(volumes, &plans, &mut file);
    let networks = networks.plans();
    let file = escaped(&Value::Object(file));
    Ok(Generated { file, services: sorted(plans), networks, volumes, shared, variables, notes })
}

fn sorted(mut plans: Vec<ServicePlan>) -> Vec<ServicePlan> {
    plans.sort_by(|a, b| a.name.cmp(&b.name));
    plans
}

/// A mapping inside a value, made when it is not there.
pub(crate) fn map_in<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Map<String, Value>> {
    let entry = value.as_object_mut()?.entry(key).or_insert_with(|| json!({}));
    if entry.is_null() {
        *entry = json!({});
    }
    entry.as_object_mut()
}
