//! Header rules of sandboxes: values sealed in the record, hosts told to the network stack, and connections
//! taken over from it. What happens to a request is `atelier-egress`'s business.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use atelier_api::sandbox::{HostRule, NetworkPolicy};
use atelier_api::{ExitCode, Problem};
use atelier_egress::{Connection, Egress, Headers, Rules, RulesNow};
use atelier_net::handover::{self, Ends, Handover};
use atelier_net::{Intercept, Rule};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use uuid::Uuid;

use super::record::Record;
use super::{Entry, Fleet, broken, sealed, secrets};

/// The pause after a connection that could not be accepted: descriptors have run out.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a stack may take to say what it connected for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where connections are taken over, and the authority for it, which is made when it is needed.
#[derive(Debug)]
pub(super) struct Place {
    socket: PathBuf,
    keys: PathBuf,
    egress: OnceLock<Arc<Egress>>,
}

impl Place {
    pub(super) fn new(socket: PathBuf, keys: PathBuf) -> Self {
        Self { socket, keys, egress: OnceLock::new() }
    }

    fn egress(&self) -> Result<Arc<Egress>, Problem> {
        if let Some(egress) = self.egress.get() {
            return Ok(egress.clone());
        }
        // Names of this home's own ingress are vouched for by its local authority.
        let trusted = vec![self.keys.join("ca.pem")];
        let egress = Arc::new(Egress::open(&self.keys.join("egress"), trusted)?);
        Ok(self.egress.get_or_init(|| egress).clone())
    }
}

impl Fleet {
    /// Takes the values out of a policy: what is left may be shown, and they are sealed. Those that are
    /// not given again stay what they were.
    ///
    /// # Errors
    /// When a rule can't be used.
    pub(super) fn hide(
        &self,
        mut network: NetworkPolicy,
        before: Option<&str>,
    ) -> Result<(NetworkPolicy, Option<String>), Problem> {
        if network.rules.is_empty() {
            return Ok((network, None));
        }
        let known = self.values(before).unwrap_or_default();
        let rules = values(&network.rules, &known)?;
        Rules::read(&rules)?;
        check_naming(&rules)?;
        for rule in network.rules.values_mut() {
            *rule = rule.redacted();
        }
        let text = serde_json::to_vec(&rules).map_err(|e| broken(&e))?;
        let sealed = sealed::seal(&self.secret.key("headers"), &text);
        let sealed = sealed.ok_or_else(|| broken(&"nothing can be sealed"))?;
        Ok((network, Some(sealed)))
    }

    /// The values of headers, by host.
    fn values(&self, sealed: Option<&str>) -> Option<BTreeMap<String, Headers>> {
        let Some(sealed) = sealed else { return Some(BTreeMap::new()) };
        let text = sealed::open(&self.secret.key("headers"), sealed)?;
        serde_json::from_slice(&text).ok()
    }

    /// What a sandbox's stack hands over, if anything.
    pub(super) fn intercept(&self, record: &Record) -> Result<Option<Intercept>, Problem> {
        if record.network.rules.is_empty() {
            return Ok(None);
        }
        let hosts = record.network.rules.keys().map(|host| host.parse());
        let hosts = hosts.collect::<Result<_, atelier_net::NetError>>()?;
        let token = self.egress_token(record.id);
        Ok(Some(Intercept { socket: self.egress.socket.clone(), token, hosts }))
    }

    fn egress_token(&self, id: Uuid) -> String {
        format!("{id} {}", self.secret.token("egress", id))
    }

    /// The authority that programs inside are to trust, if one is needed.
    pub(super) fn trusted_by(&self, record: &Record) -> Result<Option<String>, Problem> {
        if record.network.rules.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.egress.egress()?.ca_pem().to_owned()))
    }

    /// Takes over connections with header rules for as long as the control plane runs.
    pub async fn serve_egress(self: Arc<Self>, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(self.clone().take_over(stream))),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn take_over(self: Arc<Self>, stream: UnixStream) {
        let Ok(Ok(Some((said, ends)))) = tokio::time::timeout(PATIENCE, heard(&stream)).await
        else {
            return;
        };
        drop(stream);
        let Some(entry) = self.stack_of(&said.token) else {
            tracing::warn!(host = said.host, "a connection of no sandbox was handed over");
            return;
        };
        let done = match (self.egress.egress(), self.connection(entry, said, ends)) {
            (Ok(egress), Ok(connection)) => {
                egress.carry(connection).await;
                Ok(())
            }
            (Err(problem), _) => Err(problem.to_string()),
            (_, Err(error)) => Err(error.to_string()),
        };
        if let Err(error) = done {
            tracing::warn!(error, "a connection with header rules could not be carried");
        }
    }

    /// The sandbox whose stack shows a token.
    fn stack_of(&self, token: &str) -> Option<Arc<Entry>> {
        let (id, _) = token.split_once(' ')?;
        let entry = self.entries().get(&id.parse().ok()?)?.clone();
        (self.egress_token(entry.id) == token).then_some(entry)
    }

    fn connection(
        self: &Arc<Self>,
        entry: Arc<Entry>,
        said: Handover,
        ends: Ends,
    ) -> io::Result<Connection> {
        let sandbox = std::os::unix::net::UnixStream::from(ends.sandbox);
        let server = std::net::TcpStream::from(ends.server);
        sandbox.set_nonblocking(true)?;
        server.set_nonblocking(true)?;
        let (fleet, host, port) = (self.clone(), said.host.clone(), said.port);
        let rules: RulesNow = Arc::new(move || {
            let (fleet, entry, host) = (fleet.clone(), entry.clone(), host.clone());
            Box::pin(async move { fleet.rules_of(&entry, &host, port).await })
        });
        Ok(Connection {
            host: said.host,
            port: said.port,
            secure: said.secure,
            named: said.named,
            sandbox: UnixStream::from_std(sandbox)?,
            server: TcpStream::from_std(server)?,
            rules,
        })
    }

    /// A sandbox's rules for a host as they are now, with the secrets that they name.
    async fn rules_of(&self, entry: &Entry, host: &str, port: u16) -> Result<Rules, String> {
        let sealed = entry.lock().headers.clone();
        let lost = "the headers of this host can't be read any more, since the key of this home that \
                    sealed them is another one now; set the sandbox's network rules again";
        let mut values = self.values(sealed.as_deref()).ok_or(lost)?;
        // A secret that another host's rule names may be missing.
        values.retain(|rule, _| rule.parse::<Rule>().is_ok_and(|rule| rule.is_about(host, port)));
        self.fill_in(values.values_mut().flat_map(BTreeMap::values_mut)).await?;
        Rules::read(&values).map_err(|error| error.to_string())
    }
}

/// What a stack says on its connection.
async fn heard(stream: &UnixStream) -> io::Result<Option<(Handover, Ends)>> {
    loop {
        stream.readable().await?;
        match stream.try_io(Interest::READABLE, || handover::receive(stream)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            heard => return heard,
        }
    }
}

/// Every value as it is to be: given, or known from before.
fn values(
    rules: &BTreeMap<String, HostRule>,
    known: &BTreeMap<String, Headers>,
) -> Result<BTreeMap<String, Headers>, Problem> {
    let mut all = BTreeMap::new();
    for (host, rule) in rules {
        let mut headers = rule.headers.clone();
        for (name, value) in headers.iter_mut().filter(|(_, value)| *value == HostRule::KEPT) {
            let before = known.get(host).and_then(|headers| headers.get(name));
            *value = before.cloned().ok_or_else(|| unknown(host, name))?;
        }
        all.insert(host.clone(), headers);
    }
    Ok(all)
}

/// Whether secrets are named as they can be, be they there or not.
fn check_naming(rules: &BTreeMap<String, Headers>) -> Result<(), Problem> {
    for (host, headers) in rules {
        for (name, value) in headers {
            secrets::check_naming(value).map_err(|why| {
                let why = format!("the header {name} of {host} can't be used: {why}");
                Problem::new("network.rule_invalid", ExitCode::Usage, why)
                    .hint("a secret is named by ${secrets.NAME}")
            })?;
        }
    }
    Ok(())
}

fn unknown(host: &str, name: &str) -> Problem {
    let kept = HostRule::KEPT;
    let why = format!("{kept} keeps a value, and the header {name} of {host} has none yet");
    Problem::new("network.rule_invalid", ExitCode::Usage, why).hint("give the value itself")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(value: &str) -> BTreeMap<String, HostRule> {
        let headers = BTreeMap::from([("X-Key".to_owned(), value.to_owned())]);
        BTreeMap::from([("api.test".to_owned(), HostRule { headers })])
    }

    #[test]
    fn a_value_that_is_not_given_again_stays() {
        let known = values(&rules("first"), &BTreeMap::new()).unwrap();
        assert_eq!(values(&rules(HostRule::KEPT), &known).unwrap(), known);
        assert_eq!(values(&rules("second"), &known).unwrap()["api.test"]["X-Key"], "second");
        let none = values(&rules(HostRule::KEPT), &BTreeMap::new()).unwrap_err();
        assert_eq!(none.code, "network.rule_invalid");
    }
}
