//! `env.url`: where services are reached from this machine.

use std::net::SocketAddr;
use std::sync::Arc;

use atelier_api::service::{EnvUrlInput, ServiceUrl};
use atelier_api::{ExitCode, Problem};
use atelier_compose::ServicePlan;

use super::names::Target;
use super::status::{no_service, none_yet};
use crate::record::Record;
use crate::workshop::Workshop;

impl Workshop {
    /// Where a service is reached from this machine: what works now first.
    pub(super) fn url_of(
        &self,
        record: &Record,
        plan: &ServicePlan,
        port: Option<u16>,
    ) -> Option<ServiceUrl> {
        let web = port.is_none_or(|port| plan.web == Some(port));
        let port = port.or(plan.web)?;
        let mut urls = Vec::new();
        let own = self.driver.names.of(record.id);
        let target = own.iter().map(|(_, target)| target).find(|t| t.service == plan.name);
        let at = target.and_then(|target| target.at(port));
        if target.is_some_and(|target| target.doors.is_some()) && at.is_none() {
            return None;
        }
        if let Some(ingress) = self.ingress.filter(|_| web) {
            let name = format!("{}.{}.{}", plan.name, record.name, record.project.name);
            urls.push(format!("http://{name}.localhost:{ingress}"));
        }
        if let Some(at) = at.filter(SocketAddr::is_ipv4) {
            urls.push(if web { format!("http://{at}") } else { at.to_string() });
        }
        if self.resolves.load(std::sync::atomic::Ordering::Relaxed) {
            let name = format!("{}.{}.{}", plan.name, record.name, self.driver.settings.suffix);
            let own = at.map_or(port, |at| at.port());
            urls.insert(0, self.named(&name, own, web, target));
        }
        let url = if urls.is_empty() { return None } else { urls.remove(0) };
        Some(ServiceUrl { service: plan.name.clone(), url, others: urls })
    }

    /// The same by its name. What that leads to has the port `own`.
    fn named(&self, name: &str, own: u16, web: bool, target: Option<&Target>) -> String {
        let fronted = target.is_some_and(|target| target.front.is_some());
        let doors = target.is_some_and(|target| target.doors.is_some());
        match (web, self.ingress.filter(|_| doors)) {
            (true, _) if fronted => format!("http://{name}"),
            (true, Some(ingress)) => format!("http://{name}:{ingress}"),
            (true, None) => format!("http://{name}:{own}"),
            (false, _) => format!("{name}:{own}"),
        }
    }

    /// Where a service is reached.
    ///
    /// # Errors
    /// `env.no_service`, `env.no_port`.
    pub async fn service_url(self: &Arc<Self>, input: EnvUrlInput) -> Result<ServiceUrl, Problem> {
        let record = self.get(&input.project, &input.env).await?;
        let services = self.services_of(record.id).await?;
        let Some(services) = services else {
            return self.plain_url(&record, &input);
        };
        let found = match &input.service {
            Some(name) => services.all().find(|(plan, _)| plan.name == *name),
            None => services.all().find(|(plan, _)| plan.ingress),
        };
        let Some((plan, _)) = found else {
            return Err(no_service(&services, input.service.as_deref()));
        };
        self.url_of(&record, plan, input.port).ok_or_else(|| no_port(&record, plan, input.port))
    }

    /// An environment without services has the web server of its own commands.
    fn plain_url(&self, record: &Record, input: &EnvUrlInput) -> Result<ServiceUrl, Problem> {
        match (&input.service, self.url(record)) {
            (None, Some(url)) => {
                Ok(ServiceUrl { service: record.name.to_string(), url, others: Vec::new() })
            }
            _ => Err(none_yet(record)),
        }
    }
}

fn no_port(record: &Record, plan: &ServicePlan, port: Option<u16>) -> Problem {
    let (env, name) = (&record.name, &plan.name);
    let ports: Vec<String> = plan.ports.iter().map(|port| port.port.to_string()).collect();
    let has =
        if ports.is_empty() { String::new() } else { format!("; it has {}", ports.join(", ")) };
    let Some(port) = port else {
        let detail = format!("the service {name} has no port that speaks HTTP");
        return Problem::new("env.no_port", ExitCode::NotFound, detail)
            .hint(format!("name a port: atelier env url {env} {name} PORT{has}"));
    };
    let detail =
        format!("the port {port} of the service {name} is not reached from this machine now");
    Problem::new("env.no_port", ExitCode::NotFound, detail)
        .hint(format!("look whether it runs: atelier env status {env}{has}"))
        .hint("a port that the Compose file does not name: add it to `expose`, then atelier env up")
}
