//! Stored credentials: Docker's `config.json`, with its helpers. Read anew for each pull, since a
//! `docker login` may come in between. Nothing here is ever printed.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::Endpoint;
use crate::command;
use crate::reference::{HUB, Reference};
use crate::{ImageError, Result, StoreOptions};

/// How long a helper may take, which may ask a keychain.
const HELPER: Duration = Duration::from_secs(20);
/// What Docker calls its Hub in this file.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// What proves who we are.
#[derive(Clone)]
pub(crate) enum Credentials {
    Password {
        user: String,
        password: String,
    },
    /// A refresh token, which buys access tokens.
    IdentityToken(String),
    /// An access token itself.
    RegistryToken(String),
}

impl Credentials {
    /// Whose they are, for messages.
    pub(super) fn whose(&self) -> String {
        match self {
            Self::Password { user, .. } => format!(" of {user:?}"),
            _ => String::new(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    auths: HashMap<String, Auth>,
    cred_helpers: HashMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// The credentials for an image at a place, from the first file that has some.
pub(crate) async fn find(
    options: &StoreOptions,
    endpoint: &Endpoint,
    reference: &Reference,
) -> Result<Option<Credentials>> {
    let keys = keys(&endpoint.host, &reference.repository);
    for path in &options.auth_files {
        let file = read(path, &endpoint.host)?;
        if let Some(found) = file.find(&endpoint.host, &keys).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn read(path: &Path, registry: &str) -> Result<File> {
    let bad = |why: String| ImageError::Credentials {
        registry: registry.to_owned(),
        why: format!("{}: {why}", path.display()),
    };
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(File::default()),
        Err(error) => Err(bad(error.to_string())),
    }
}

/// What an entry may be called, the narrowest first: Podman has them for parts of a registry.
fn keys(host: &str, repository: &str) -> Vec<String> {
    let mut keys = vec![format!("{host}/{repository}")];
    let mut rest = repository;
    while let Some((shorter, _)) = rest.rsplit_once('/') {
        keys.push(format!("{host}/{shorter}"));
        rest = shorter;
    }
    keys.push(host.to_owned());
    if host == HUB {
        keys.extend(["index.docker.io".to_owned(), "registry-1.docker.io".to_owned()]);
    }
    keys
}

/// An entry's name without what old versions of Docker put around it.
fn plain(key: &str) -> &str {
    let key = key.trim_start_matches("https://").trim_start_matches("http://");
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key)
}

impl File {
    async fn find(&self, host: &str, keys: &[String]) -> Result<Option<Credentials>> {
        let helper = keys.iter().find_map(|wanted| by_key(&self.cred_helpers, wanted));
        if let Some(helper) = helper {
            return ask(helper, host).await;
        }
        for key in keys {
            if let Some(found) = by_key(&self.auths, key).map(Auth::credentials).transpose()? {
                match found {
                    Some(found) => return Ok(Some(found)),
                    // An empty entry says that the store has it.
                    None => break,
                }
            }
        }
        let Some(store) = &self.creds_store else { return Ok(None) };
        match ask(store, host).await {
            Ok(found) => Ok(found),
            // Left behind by a Docker that is gone: public images need no credentials.
            Err(error) => {
                tracing::debug!(%error, "the credential store does not answer");
                Ok(None)
            }
        }
    }
}

fn by_key<'a, T>(map: &'a HashMap<String, T>, wanted: &str) -> Option<&'a T> {
    map.iter().find(|(key, _)| plain(key) == wanted).map(|(_, value)| value)
}

impl Auth {
    fn credentials(&self) -> Result<Option<Credentials>> {
        let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = some(&self.registrytoken) {
            return Ok(Some(Credentials::RegistryToken(token)));
        }
        if let Some(token) = some(&self.identitytoken) {
            return Ok(Some(Credentials::IdentityToken(token)));
        }
        if let (Some(user), Some(password)) = (some(&self.username), some(&self.password)) {
            return Ok(Some(Credentials::Password { user, password }));
        }
        let Some(auth) = some(&self.auth) else { return Ok(None) };
        let bad = || ImageError::Credentials {
            registry: "the registry".to_owned(),
            why: "its entry is not base64 of user:password".to_owned(),
        };
        let decoded = STANDARD.decode(auth.trim()).map_err(|_| bad())?;
        let text = String::from_utf8(decoded).map_err(|_| bad())?;
        let (user, password) = text.split_once(':').ok_or_else(bad)?;
        let password = password.trim_end_matches('\0').to_owned();
        Ok(Some(Credentials::Password { user: user.to_owned(), password }))
    }
}

/// Asks `docker-credential-NAME`.
async fn ask(name: &str, host: &str) -> Result<Option<Credentials>> {
    let program = format!("docker-credential-{name}");
    let bad = |why: String| ImageError::Credentials {
        registry: host.to_owned(),
        why: format!("{program}: {why}"),
    };
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        return Err(bad("it is not the name of a program".to_owned()));
    }
    let server = if host == HUB { HUB_KEY } else { host };
    let run = command::output(command::command(&program, &["get"]), server.as_bytes(), HELPER);
    let output = run.await.map_err(|e| bad(e.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        if said.contains("credentials not found") {
            return Ok(None);
        }
        return Err(bad(format!("it failed ({})", output.status)));
    }
    let helped: Helped = serde_json::from_slice(&output.stdout)
        .map_err(|_| bad("its answer is not JSON".to_owned()))?;
    Ok(match helped.username.as_str() {
        _ if helped.secret.is_empty() => None,
        "<token>" => Some(Credentials::IdentityToken(helped.secret)),
        user => Some(Credentials::Password { user: user.to_owned(), password: helped.secret }),
    })
}
