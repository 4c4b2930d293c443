//! What users see of sandboxes and runtimes.

use atelier_api::Problem;
use atelier_api::sandbox::{
    RuntimeView, Sandbox, SandboxDetail, SandboxListInput, SandboxRef, SandboxState,
};
use atelier_api::system::{Check, Verdict};

use super::Fleet;
use super::record::Record;
use crate::LimitEvents;

impl Fleet {
    /// Lists sandboxes, the newest first.
    ///
    /// # Errors
    /// When a filter can't be read.
    pub fn list(&self, input: &SandboxListInput) -> Result<Vec<Sandbox>, Problem> {
        let words = input.metadata.iter().map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let words: Vec<_> = words.collect();
        let fits = |sandbox: &Sandbox| {
            let from = [&sandbox.image, &sandbox.template, &sandbox.snapshot];
            (input.state.is_empty() || input.state.contains(&sandbox.state))
                && input.runtime.as_ref().is_none_or(|r| *r == sandbox.runtime)
                && input.from.as_ref().is_none_or(|f| from.contains(&&Some(f.clone())))
                && words.iter().all(|(k, v)| sandbox.metadata.get(*k).is_some_and(|w| w == v))
        };
        let all = self.all();
        let mut found: Vec<_> =
            all.iter().map(|entry| self.view(&entry.record())).filter(fits).collect();
        found.sort_by_key(|sandbox| std::cmp::Reverse(sandbox.created_at));
        Ok(found)
    }

    /// Shows one sandbox, with the tokens that open it.
    ///
    /// # Errors
    /// When there is none.
    pub fn show(&self, input: &SandboxRef) -> Result<SandboxDetail, Problem> {
        Ok(self.detail(&self.find(&input.sandbox)?.record()))
    }

    /// Every runtime, and whether it works here.
    ///
    /// # Errors
    /// When a probe can't be made.
    pub async fn runtimes(&self) -> Result<Vec<RuntimeView>, Problem> {
        let mut all = Vec::new();
        for one in self.sandboxes.runtimes() {
            all.push(runtime(one.as_ref(), self.sandboxes.probe_of(one.name()).await?));
        }
        Ok(all)
    }

    /// Whether its processes have ended and nobody has written that down yet.
    fn is_gone(&self, record: &Record) -> bool {
        record.state == SandboxState::Running && self.live(record.id).is_none()
    }

    pub(super) fn view(&self, record: &Record) -> Sandbox {
        let gone = self.is_gone(record);
        Sandbox {
            id: record.public_id(),
            name: record.name.clone(),
            state: if gone { SandboxState::Stopped } else { record.state },
            runtime: record.runtime.clone(),
            image: record.origin.image.clone(),
            template: record.origin.template.clone(),
            snapshot: record.origin.snapshot.clone(),
            created_at: record.created_at,
            started_at: record.started_at,
            expires_at: record.expires_at,
            on_expiry: record.options.on_expiry,
            auto_resume: record.options.auto_resume,
            metadata: record.options.metadata.clone(),
            resources: record.options.resources.clone(),
            rates: record.options.rates,
            public: record.options.public,
            volumes: record.options.volumes.clone(),
        }
    }

    pub(super) fn detail(&self, record: &Record) -> SandboxDetail {
        let host = format!("{{port}}-{}.{}", record.public_id(), self.defaults.domain);
        let url = self.defaults.ingress.map(|(scheme, port)| match (scheme, port) {
            ("https", 443) | ("http", 80) => format!("{scheme}://{host}"),
            _ => format!("{scheme}://{host}:{port}"),
        });
        let token = |purpose| self.secret.token(purpose, record.id);
        let mut notes = record.notes.clone();
        if let Some(live) = self.live(record.id) {
            notes.extend(met(live.running.cgroup.events()));
        } else if self.is_gone(record) {
            notes.extend(ended(LimitEvents::default()));
        }
        SandboxDetail {
            sandbox: self.view(record),
            network: record.network.clone(),
            access_token: token("guest"),
            traffic_token: (!record.options.public).then(|| token("traffic")),
            host: self.defaults.ingress.map(|_| host),
            url,
            user: record.options.user.clone(),
            workdir: record.options.workdir.clone(),
            notes,
        }
    }
}

/// What is noted of a sandbox that ended without our doing.
pub(super) fn ended(limits: LimitEvents) -> Vec<String> {
    let mut notes = met(limits);
    notes.push("its processes ended by themselves or were ended from outside".to_owned());
    notes
}

/// Limits that a sandbox met since it started, a sentence each.
fn met(events: LimitEvents) -> Vec<String> {
    let times = |count| if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let mut notes = Vec::new();
    if events.out_of_memory > 0 {
        let times = times(events.out_of_memory);
        notes.push(format!("its memory limit was met: the kernel ended a process {times}"));
    }
    if events.processes > 0 {
        let times = times(events.processes);
        notes.push(format!("its limit on processes was met: a new one was refused {times}"));
    }
    notes
}

fn runtime(runtime: &dyn crate::Runtime, checks: Vec<Check>) -> RuntimeView {
    let can = runtime.capabilities();
    RuntimeView {
        name: runtime.name().to_owned(),
        isolation: runtime.isolation().to_owned(),
        available: checks.iter().all(|check| check.verdict != Verdict::Failed),
        checks,
        pause: true,
        memory_snapshots: can.memory_snapshots,
        images: can.images,
        volumes: can.volumes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_were_met_are_told() {
        assert_eq!(met(LimitEvents::default()), Vec::<String>::new());
        let both = met(LimitEvents { out_of_memory: 1, processes: 7 });
        assert!(both[0].contains("memory") && both[0].ends_with("once"), "{both:?}");
        assert!(both[1].contains("processes") && both[1].ends_with("7 times"), "{both:?}");
    }
}
