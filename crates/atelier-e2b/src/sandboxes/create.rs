//! `POST /v2/sandboxes`, and `POST /sandboxes` as older clients send it.

use std::collections::BTreeMap;

use atelier_api::env::Resources;
use atelier_api::sandbox::{Expiry, SandboxCreate, SandboxOptions};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::network::NetworkRequest;
use super::view::{MountView, SandboxView};
use crate::builds::MARK;
use crate::idempotency;
use crate::request::{Body, Caller};
use crate::templates::names;
use crate::{Door, E2b, E2bError};

/// Seconds that a sandbox lives when nothing is said.
const TIMEOUT: u64 = 300;
/// The same of older clients.
pub(crate) const LEGACY_TIMEOUT: u64 = 15;

/// `NewSandbox` of both versions. `secure` is not looked at: access always needs the token, which
/// is in the answer. `mcp` is what the client does in the sandbox afterwards.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NewSandbox {
    #[serde(rename = "templateID")]
    template: String,
    timeout: Option<i64>,
    metadata: Option<BTreeMap<String, String>>,
    env_vars: Option<BTreeMap<String, String>>,
    auto_pause: Option<bool>,
    auto_pause_memory: Option<bool>,
    auto_resume: Option<AutoResume>,
    #[serde(rename = "allow_internet_access")]
    allow_internet_access: Option<bool>,
    network: Option<NetworkRequest>,
    iam: Option<Value>,
    volume_mounts: Option<Vec<MountView>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct AutoResume {
    enabled: bool,
}

impl NewSandbox {
    fn options(self, default_timeout: u64) -> Result<SandboxOptions, E2bError> {
        self.refuse_unserved()?;
        let on_expiry = self.on_expiry()?;
        let auto_resume = self.auto_resume.as_ref().is_some_and(|auto| auto.enabled);
        let network = self.network.unwrap_or_default();
        let host = network.mask_request_host.clone();
        if host.as_ref().is_some_and(|host| !host.is_ascii() || host.contains(char::is_whitespace))
        {
            return Err(E2bError::Invalid("mask request host is not valid".to_owned()));
        }
        let mut metadata = self.metadata.unwrap_or_default();
        metadata.remove(MARK);
        Ok(SandboxOptions {
            from: Some(names::of_request(&self.template)?),
            resources: Resources::default(),
            variables: self.env_vars.unwrap_or_default(),
            metadata,
            timeout: Some(seconds(self.timeout, default_timeout)?),
            on_expiry,
            auto_resume,
            network: Some(network.policy(self.allow_internet_access)?),
            public: network.allow_public_traffic.unwrap_or(true),
            request_host: host,
            volumes: self
                .volume_mounts
                .unwrap_or_default()
                .into_iter()
                .map(MountView::ours)
                .collect(),
            ..SandboxOptions::default()
        })
    }

    fn on_expiry(&self) -> Result<Expiry, E2bError> {
        let pause = self.auto_pause.unwrap_or(false);
        let files_only = self.auto_pause_memory == Some(false);
        if files_only && !pause {
            let why = "autoPauseMemory=false only applies when autoPause is true.";
            return Err(E2bError::Invalid(why.to_owned()));
        }
        if files_only && self.auto_resume.as_ref().is_some_and(|auto| auto.enabled) {
            let why = "autoPauseMemory=false cannot be combined with autoResume: what was paused \
                       without its memory must be resumed explicitly.";
            return Err(E2bError::Invalid(why.to_owned()));
        }
        Ok(match (pause, files_only) {
            (false, _) => Expiry::Kill,
            (true, false) => Expiry::Pause,
            (true, true) => Expiry::Stop,
        })
    }

    fn refuse_unserved(&self) -> Result<(), E2bError> {
        let tokens = self.iam.as_ref().and_then(|iam| iam.get("tokens")).and_then(Value::as_object);
        if tokens.is_some_and(|tokens| !tokens.is_empty()) {
            let why = "iam.tokens (workload identity) are not supported by this server";
            return Err(E2bError::Invalid(why.to_owned()));
        }
        Ok(())
    }
}

/// A time to live as a client gives it.
pub(crate) fn seconds(given: Option<i64>, default: u64) -> Result<u64, E2bError> {
    let Some(given) = given else { return Ok(default) };
    u64::try_from(given).map_err(|_| E2bError::Invalid("timeout is at least 0".to_owned()))
}

/// `POST /v2/sandboxes`.
pub(crate) async fn current<D: Door>(
    Caller(door): Caller<D>,
    State(e2b): State<E2b>,
    headers: HeaderMap,
    Body(request): Body<NewSandbox>,
) -> Result<(StatusCode, Json<SandboxView>), E2bError> {
    create(door, &e2b, &headers, request, TIMEOUT).await
}

/// `POST /sandboxes`.
pub(crate) async fn legacy<D: Door>(
    Caller(door): Caller<D>,
    State(e2b): State<E2b>,
    headers: HeaderMap,
    Body(request): Body<NewSandbox>,
) -> Result<(StatusCode, Json<SandboxView>), E2bError> {
    create(door, &e2b, &headers, request, LEGACY_TIMEOUT).await
}

async fn create<D: Door>(
    door: D,
    e2b: &E2b,
    headers: &HeaderMap,
    request: NewSandbox,
    default_timeout: u64,
) -> Result<(StatusCode, Json<SandboxView>), E2bError> {
    let key = idempotency::key(headers)?;
    let same = key.is_some().then(|| serde_json::to_string(&request)).transpose();
    let same = same.map_err(|error| E2bError::Invalid(error.to_string()))?;
    let template = request.template.clone();
    let options = request.options(default_timeout)?;
    let make = make(door, options, template);
    let sandbox = match (key, same) {
        (Some(key), Some(request)) => {
            let remembered = e2b.inner.settings.remembered;
            e2b.inner.keys.once(key, &request, remembered, make).await?
        }
        _ => make.await?,
    };
    Ok((StatusCode::CREATED, Json(sandbox)))
}

async fn make<D: Door>(
    door: D,
    options: SandboxOptions,
    template: String,
) -> Result<SandboxView, E2bError> {
    match door.call::<SandboxCreate>(options).await {
        Ok(detail) => Ok(SandboxView::new(detail, door.domain())),
        Err(problem) if problem.code == "volume.not_found" => {
            Err(E2bError::Invalid(problem.detail))
        }
        Err(problem) if problem.status == 404 => Err(E2bError::no_template(&template)),
        Err(problem) => Err(problem.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(json: &str) -> Result<SandboxOptions, E2bError> {
        serde_json::from_str::<NewSandbox>(json).unwrap().options(TIMEOUT)
    }

    #[test]
    fn what_is_not_said_is_as_e2b_has_it() {
        let made = options(r#"{"templateID":"base","unknown":1}"#).unwrap();
        assert_eq!(made.from.as_deref(), Some("base"));
        assert_eq!(made.timeout, Some(300));
        assert_eq!(made.on_expiry, Expiry::Kill);
        assert!(made.public && !made.auto_resume);
    }

    #[test]
    fn volumes_are_named_with_their_places() {
        let made = r#"{"templateID":"base","volumeMounts":[{"name":"v","path":"/v"}]}"#;
        let volumes = options(made).unwrap().volumes;
        assert_eq!((volumes[0].volume.as_str(), volumes[0].path.as_str()), ("v", "/v"));
    }

    #[test]
    fn the_end_of_its_time_is_one_of_three() {
        let of = |more: &str| options(&format!(r#"{{"templateID":"base",{more}}}"#));
        assert_eq!(of(r#""autoPause":true"#).unwrap().on_expiry, Expiry::Pause);
        let files = r#""autoPause":true,"autoPauseMemory":false"#;
        assert_eq!(of(files).unwrap().on_expiry, Expiry::Stop);
        assert!(of(r#""autoPauseMemory":false"#).is_err());
        assert!(of(&format!(r#"{files},"autoResume":{{"enabled":true}}"#)).is_err());
    }

    #[test]
    fn what_this_server_lacks_is_refused() {
        for more in [
            r#""iam":{"tokens":{"aws":{}}}"#,
            r#""timeout":-1"#,
            r#""network":{"maskRequestHost":"a b"}"#,
        ] {
            assert!(options(&format!(r#"{{"templateID":"base",{more}}}"#)).is_err(), "{more}");
        }
        assert!(options("{}").is_err(), "a template is needed");
    }
}
