//! What the command line may change of this machine: its resolver and its store of authorities.

use std::io;
use std::path::Path;
use std::sync::Arc;

use atelier_api::Problem;
use atelier_cli::{
    Authorities, Resolver, ResolverPlan, ResolverRemoved, ResolverStatus, ResolverTarget,
    TrustPlan, TrustTarget,
};
use atelier_config::Settings;
use atelier_dns::hook::{self, Applied, Commands, Output, Plan, Runner, System};
use atelier_ingress::{LocalCa, Trust};

/// The machine that this process runs on.
pub(crate) struct Machine;

impl Resolver for Machine {
    fn plan(&self, target: &ResolverTarget) -> Result<ResolverPlan, Problem> {
        Ok(shown(&hook::plan(&system(target)?)?))
    }

    fn hook(&self, target: &ResolverTarget) -> Result<ResolverPlan, Problem> {
        let (Applied::Changed(plan) | Applied::InPlace(plan)) = hook::apply(&system(target)?)?;
        Ok(shown(&plan))
    }

    fn look(&self, target: &ResolverTarget) -> Result<ResolverStatus, Problem> {
        let status = hook::status(&system(target)?)?;
        let state = serde_json::to_value(status.state).unwrap_or_default();
        Ok(ResolverStatus {
            state: state.as_str().unwrap_or_default().to_owned(),
            way: status.way.map(|way| way.to_string()),
            server: status.server,
            domains: status.domains,
            files: status.files,
            changed: status.changed,
        })
    }

    fn unhook(&self, target: &ResolverTarget) -> Result<ResolverRemoved, Problem> {
        let removed = hook::remove(&system(target)?)?;
        Ok(ResolverRemoved {
            restored: removed.restored,
            kept: removed.kept.into_iter().map(|kept| (kept.path, kept.saved)).collect(),
            failed: removed.failed,
        })
    }
}

fn shown(plan: &Plan) -> ResolverPlan {
    ResolverPlan { text: plan.to_string(), in_place: plan.in_place }
}

fn system(target: &ResolverTarget) -> Result<System, Problem> {
    let mut system = System::here(target.server, [target.suffix.clone()]);
    system.way = target.way.as_deref().map(str::parse).transpose()?;
    system.setup_command.clone_from(&target.as_root);
    system.remove_command.clone_from(&target.as_root);
    system.root.clone_from(&target.root);
    system.runner = match target.root == Path::new("/") {
        true => Arc::new(Commands::default()),
        false => Arc::new(Asleep),
    };
    Ok(system)
}

/// A system that does not run, such as an image's: nothing of it can be told, and nothing need be. What
/// its files ask for is taken for what runs there.
#[derive(Debug)]
struct Asleep;

impl Runner for Asleep {
    fn run(&self, _: &[String]) -> io::Result<Output> {
        Ok(Output { success: true, stdout: String::new(), stderr: String::new() })
    }
}

impl Authorities for Machine {
    fn plan(&self, target: &TrustTarget) -> Result<TrustPlan, Problem> {
        let trust = trust(target)?;
        let (verb, in_place) = match target.remove {
            true => ("remove", !trust.is_there()),
            false => ("write", trust.in_place()),
        };
        let mut text = String::new();
        if let Some(file) = &trust.file {
            text.push_str(&format!("{verb} {}\n", file.display()));
        }
        text.push_str(&format!("run {}\n", trust.command(target.remove).join(" ")));
        Ok(TrustPlan { text, in_place, certificate: trust.certificate })
    }

    fn change(&self, target: &TrustTarget) -> Result<(), Problem> {
        let trust = trust(target)?;
        let done = if target.remove { trust.remove() } else { trust.install() };
        Ok(done?)
    }
}

/// The home's authority is made when it is not there yet, for the names that the ingress would ask of it.
fn trust(target: &TrustTarget) -> Result<Trust, Problem> {
    let certificate = match &target.certificate {
        Some(file) => file.clone(),
        None => {
            let home = &target.home;
            if !target.remove {
                let get = |name: &str| std::env::var_os(name);
                let settings = Settings::load(home, None, get, atelier_config::Layer::default())?;
                let domain = settings.domain.value.to_ascii_lowercase();
                home.prepare()?;
                atelier_server::local_ca(home, &domain, &settings.dns_suffix.value)?;
            }
            LocalCa::path(&home.keys())
        }
    };
    Ok(Trust::of(&target.root, &certificate)?)
}
