//! `hostnames.*`, and `services.hostnames` of `atelier.yaml`: further names of services. Those that were
//! added are in the environment's record; what names lead to is `names`' matter.

use std::path::Path;
use std::sync::Arc;

use atelier_api::env::EnvRef;
use atelier_api::hostname::{Hostname, HostnamesAddInput, HostnamesRemoveInput, NameSource};
use atelier_api::{ExitCode, Problem};
use atelier_compose::{Generated, ServicePlan};
use atelier_environment::Config;
use uuid::Uuid;

use super::record::ServicesRecord;
use super::{names, store};
use crate::record::Record;
use crate::workshop::Workshop;

/// The longest name, and the longest part between dots (RFC 1035, 2.3.4).
const LONGEST: (usize, usize) = (253, 63);
/// The name that tells whether names are found; it and what is below it are nobody's.
pub const PROBE: &str = "atelier-probe";

impl Workshop {
    /// Gives a service a further name. It leads there at once when the service is up.
    ///
    /// # Errors
    /// `hostname.invalid`, `hostname.outside`, `hostname.taken`, `env.no_service`.
    pub async fn hostname_add(
        self: &Arc<Self>,
        input: HostnamesAddInput,
    ) -> Result<Hostname, Problem> {
        let found = self.get(&input.project, &input.env).await?;
        let name = complete(&input.name, &found, &self.driver.settings.suffix)?;
        let turn = self.services_turn(found.id).await;
        let _chosen = self.driver.hostnames.lock().await;
        // As it is now that nobody else changes it.
        let mut record = self.get(&input.project, &input.env).await?;
        self.is_service(&record, &input.service).await?;
        self.is_free(&record, &name, &input.service).await?;
        let own = self.names_of(&record).await?;
        if !own.iter().any(|known| known.name == name) {
            record.hostnames.insert(name.clone(), input.service.clone());
            self.keep(&record).await?;
        }
        drop(turn);
        self.find_name(&record, &name).await
    }

    /// Takes a name away that was added.
    ///
    /// # Errors
    /// `hostname.not_found`.
    pub async fn hostname_remove(
        self: &Arc<Self>,
        input: HostnamesRemoveInput,
    ) -> Result<Hostname, Problem> {
        let found = self.get(&input.project, &input.env).await?;
        let name = complete(&input.name, &found, &self.driver.settings.suffix)?;
        let _turn = self.services_turn(found.id).await;
        let mut record = self.get(&input.project, &input.env).await?;
        let Some(service) = record.hostnames.remove(&name) else {
            return Err(self.not_added(&record, &name).await?);
        };
        self.keep(&record).await?;
        Ok(Hostname { name, service, source: NameSource::Added, up: false })
    }

    /// The names of an environment's services, those that every service has among them.
    ///
    /// # Errors
    /// `env.not_found`.
    pub async fn hostname_list(self: &Arc<Self>, input: EnvRef) -> Result<Vec<Hostname>, Problem> {
        let record = self.get(&input.project, &input.env).await?;
        self.names_of(&record).await
    }

    /// Adds what `atelier.yaml` says to a plan.
    pub(super) fn configured_names(
        &self,
        record: &Record,
        tree: &Path,
        plan: &mut Generated,
    ) -> Result<(), Problem> {
        let config = Config::load(tree)?;
        plan.notes.extend(config.notes);
        for (service, given) in config.services.hostnames {
            let chosen = |plan: &&mut ServicePlan| match service.as_str() {
                "" => plan.ingress,
                name => plan.name == name,
            };
            let Some(service) = plan.services.iter_mut().find(chosen) else {
                let note = format!("atelier.yaml names {service}, which is no service here");
                plan.notes.push(note);
                continue;
            };
            for name in given {
                let name = complete(&name, record, &self.driver.settings.suffix)?;
                if !service.hostnames.contains(&name) {
                    service.hostnames.push(name);
                }
            }
        }
        Ok(())
    }

    async fn keep(self: &Arc<Self>, record: &Record) -> Result<(), Problem> {
        record.save(&self.folder(record.id))?;
        crate::store::environment_changed(&self.store, record).await?;
        self.republish(record).await
    }

    async fn names_of(&self, record: &Record) -> Result<Vec<Hostname>, Problem> {
        let suffix = &self.driver.settings.suffix;
        let leads = self.driver.names.of(record.id);
        let up = |name: &str| leads.iter().any(|(known, _)| known == name);
        let mut all = Vec::new();
        if let Some(services) = self.services_of(record.id).await? {
            for (plan, _) in services.all() {
                for name in names::of_service(record, plan, suffix) {
                    let source = match record.hostnames.contains_key(&name) {
                        true => NameSource::Added,
                        false if plan.hostnames.contains(&name) => NameSource::Files,
                        false => NameSource::Own,
                    };
                    let service = plan.name.clone();
                    all.push(Hostname { up: up(&name), name, service, source });
                }
            }
        }
        for (name, service) in &record.hostnames {
            if !all.iter().any(|known: &Hostname| known.name == *name) {
                let (name, service) = (name.clone(), service.clone());
                all.push(Hostname { up: up(&name), name, service, source: NameSource::Added });
            }
        }
        all.sort_by(|a, b| (&a.service, &a.name).cmp(&(&b.service, &b.name)));
        all.dedup();
        Ok(all)
    }

    async fn find_name(&self, record: &Record, name: &str) -> Result<Hostname, Problem> {
        let found = self.names_of(record).await?.into_iter().find(|known| known.name == name);
        found.ok_or_else(|| no_name(record, name))
    }

    /// Whether an environment has a service, by what was started, or else by its files.
    async fn is_service(self: &Arc<Self>, record: &Record, service: &str) -> Result<(), Problem> {
        let known: Vec<String> = match self.services_of(record.id).await? {
            Some(services) => services.all().map(|(plan, _)| plan.name.clone()).collect(),
            None => {
                let tree = self.show_tree(record).await?;
                self.load_services(record, &tree, &[]).await?.services()
            }
        };
        if known.iter().any(|name| name == service) {
            return Ok(());
        }
        let detail = format!("{} has no service {service}", record.label());
        Err(Problem::new("env.no_service", ExitCode::NotFound, detail)
            .hint(format!("there are: {}", known.join(", "))))
    }

    /// Whether nobody else has a name: another environment, or another service of this one.
    async fn is_free(
        self: &Arc<Self>,
        record: &Record,
        name: &str,
        service: &str,
    ) -> Result<(), Problem> {
        let own = self.names_of(record).await?;
        if let Some(other) = own.iter().find(|own| own.name == name && own.service != service) {
            let detail = format!("{name} is a name of the service {} already", other.service);
            return Err(taken(detail, &format!("atelier hostnames ls {}", record.name)));
        }
        let Some(other) = self.other_owner(record.id, name).await? else { return Ok(()) };
        let detail = format!("{name} is a name of the environment {} already", other.label());
        let mut command = format!("atelier hostnames ls {}", other.name);
        if other.project.root != record.project.root {
            command.push_str(&format!(" -C {}", other.project.root.display()));
        }
        Err(taken(detail, &command))
    }

    /// The other environment that has a name, whether it is up or not.
    async fn other_owner(
        self: &Arc<Self>,
        own: Uuid,
        name: &str,
    ) -> Result<Option<Record>, Problem> {
        let leads = self.driver.names.owner(name);
        let started = store::list(&self.store).await?;
        let rows = crate::store::environment_list(&self.store, None).await?;
        for other in rows.into_iter().filter_map(|row| row.record).filter(|r| r.id != own) {
            let suffix = &self.driver.settings.suffix;
            let plans = started.iter().filter(|row| row.environment == other.id);
            let mut plans =
                plans.filter_map(|row| row.record.as_ref()).flat_map(ServicesRecord::all);
            let has = |plan| names::of_service(&other, plan, suffix).iter().any(|n| n == name);
            if leads == Some(other.id)
                || other.hostnames.contains_key(name)
                || plans.any(|(plan, _)| has(plan))
            {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }

    async fn not_added(&self, record: &Record, name: &str) -> Result<Problem, Problem> {
        let own = self.names_of(record).await?;
        Ok(match own.iter().find(|own| own.name == name) {
            Some(own) => {
                let detail = format!("{name} was not added: the service {} has it", own.service);
                Problem::new("hostname.not_added", ExitCode::Conflict, detail).hint(
                    "only names that were added can be taken away; others come from the files",
                )
            }
            None => no_name(record, name),
        })
    }
}

/// A whole name from what was given: a bare one stands below the environment's own.
fn complete(given: &str, record: &Record, suffix: &str) -> Result<String, Problem> {
    let plain = given.trim_end_matches('.').to_ascii_lowercase();
    let suffix = suffix.to_ascii_lowercase();
    let name = match plain.contains('.') {
        false => format!("{plain}.{}.{suffix}", record.name),
        true if plain.ends_with(&format!(".{suffix}")) => plain.clone(),
        true => {
            let detail = format!("{given} does not end with .{suffix}");
            return Err(Problem::new("hostname.outside", ExitCode::InvalidInput, detail)
                .hint(format!("write it whole, as {plain}.{suffix}"))
                .hint("or give a bare name, which stands below the environment's own"));
        }
    };
    if let Some(why) = wrong(&name) {
        let detail = format!("{given:?} is no host name: {why}");
        return Err(Problem::new("hostname.invalid", ExitCode::InvalidInput, detail)
            .hint("use letters, digits and hyphens, such as admin"));
    }
    let probe = format!("{PROBE}.{suffix}");
    if name == probe || name.ends_with(&format!(".{probe}")) {
        let detail = format!("{name} is Atelier's own: it tells whether names are found");
        return Err(
            Problem::new("hostname.taken", ExitCode::Conflict, detail).hint("choose another name")
        );
    }
    Ok(name)
}

fn wrong(name: &str) -> Option<&'static str> {
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let (whole, part) = LONGEST;
    if name.len() > whole {
        return Some("it is longer than 253 characters");
    }
    name.split('.').find_map(|label| match label {
        "" => Some("a part between dots is empty"),
        long if long.len() > part => Some("a part is longer than 63 characters"),
        odd if !odd.chars().all(fine) => Some("only letters, digits, - and _ may be in a part"),
        odd if odd.starts_with('-') || odd.ends_with('-') => {
            Some("a part may not begin or end with -")
        }
        _ => None,
    })
}

fn taken(detail: String, command: &str) -> Problem {
    Problem::new("hostname.taken", ExitCode::Conflict, detail)
        .hint(format!("choose another name, or look there: {command}"))
}

fn no_name(record: &Record, name: &str) -> Problem {
    let detail = format!("{} has no name {name}", record.label());
    Problem::new("hostname.not_found", ExitCode::NotFound, detail)
        .hint(format!("see which it has: atelier hostnames ls {}", record.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_dns_and_hosts_allow() {
        for fine in ["a.test", "my-api.e1.test", "my_api.e1.test", "7.test"] {
            assert_eq!(wrong(fine), None, "{fine}");
        }
        let long = format!("{}.test", "a".repeat(64));
        let longer = format!("{}test", "abcdefgh.".repeat(30));
        for bad in ["a..test", "-a.test", "a-.test", "a b.test", "*.test", ".test", &long, &longer]
        {
            assert!(wrong(bad).is_some(), "{bad}");
        }
    }
}
