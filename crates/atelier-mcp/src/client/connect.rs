//! Connecting: which transport, which handshake, and the permission that may be wanted on the way.

use std::time::Instant;

use reqwest::Url;
use reqwest::header::HeaderMap;
use rmcp::model::{ErrorCode, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClient, StreamableHttpClientTransportConfig,
};
use rmcp::{RoleClient, transport::Transport};

use crate::child;
use crate::client::answers::Witness;
use crate::client::handler::Handler;
use crate::client::legacy::{Legacy, LegacyTransport};
use crate::client::stdio::{Stdio, Troubles};
use crate::client::{Client, ClientOptions, Handshake, LOGINS, Login};
use crate::error::{McpError, Result};
use crate::mask::Masks;
use crate::target::{Target, address, headers};

/// One try to connect.
struct Try<'a> {
    target: &'a Target,
    options: &'a ClientOptions,
    masks: Masks,
    handshake: Handshake,
}

/// Connects as the options say.
pub(super) async fn connect(target: &Target, options: &ClientOptions) -> Result<Client> {
    let masks = target.masks(&options.secrets);
    let handshake = match options.handshake {
        Handshake::Either => Handshake::Initialize,
        other => other,
    };
    let first = Try { target, options, masks, handshake };
    match first.connect().await {
        Err(error) if options.handshake == Handshake::Either && knows_none(&error) => {
            let second = Try { handshake: Handshake::Discover, ..first };
            // What it says to the older way counts for a server that knows neither.
            second.connect().await.map_err(|_| error)
        }
        done => done,
    }
}

/// Whether a server's refusal means that it has no `initialize`.
fn knows_none(error: &McpError) -> bool {
    let codes = [ErrorCode::METHOD_NOT_FOUND.0, ErrorCode::UNSUPPORTED_PROTOCOL_VERSION.0];
    matches!(error, McpError::Refused { code, .. } if codes.contains(code))
}

impl Try<'_> {
    async fn connect(&self) -> Result<Client> {
        match self.target {
            Target::Stdio { .. } => self.program().await,
            Target::Http { url, headers: with } => {
                self.remote(&address(url)?, headers(with)?).await
            }
            Target::Sse { url, headers: with } => {
                let url = address(url)?;
                let http = crate::http::client(&url)?;
                self.legacy(http, &url, headers(with)?).await
            }
        }
    }

    async fn program(&self) -> Result<Client> {
        let limits = &self.options.limits;
        let (child, pipes) = child::start(self.target, limits, &self.masks)?;
        let mut witness = self.witness();
        witness.said = Some(child.said());
        let transport = Stdio::new(pipes, limits, &self.masks, &witness.troubles);
        self.serve(transport, witness, Some(child), None).await
    }

    /// Streamable HTTP, and the older transport where the server has no other.
    async fn remote(&self, url: &Url, headers: HeaderMap) -> Result<Client> {
        let http = crate::http::client(url)?;
        let Some(oauth) = &self.options.oauth else {
            let tried = self.streamable(http.clone(), url, &headers, None).await;
            return self.or_legacy(tried, http, url, headers).await;
        };
        let client = oauth.client(url, &http).await?;
        let login = Login { oauth: oauth.clone(), client, url: url.clone() };
        for _ in 0..LOGINS {
            let own = login.client.clone();
            match self.streamable(own, url, &headers, Some(login.clone())).await {
                Err(McpError::Unauthorized { challenge, .. }) => login.permit(&challenge).await?,
                tried => return self.or_legacy(tried, http, url, headers).await,
            }
        }
        let why = "it was given several, and none is enough".to_owned();
        Err(McpError::Permission { server: self.target.name(), why })
    }

    async fn streamable<C>(
        &self,
        client: C,
        url: &Url,
        headers: &HeaderMap,
        login: Option<Login>,
    ) -> Result<Client>
    where
        C: StreamableHttpClient + Send + Sync,
    {
        let own = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
            .custom_headers(own)
            .max_sse_event_size(self.options.limits.message);
        let transport = StreamableHttpClientTransport::with_client(client, config);
        self.serve(transport, self.witness(), None, login).await
    }

    /// The way that the specification describes for servers of the older transport: whoever refuses the
    /// first message may still have a stream that says where to post.
    async fn or_legacy(
        &self,
        tried: Result<Client>,
        http: reqwest::Client,
        url: &Url,
        headers: HeaderMap,
    ) -> Result<Client> {
        match tried {
            Err(error @ (McpError::Unreachable { .. } | McpError::Protocol { .. })) => {
                self.legacy(http, url, headers).await.map_err(|_| error)
            }
            done => done,
        }
    }

    async fn legacy(&self, http: reqwest::Client, url: &Url, headers: HeaderMap) -> Result<Client> {
        let limits = &self.options.limits;
        let opening = Legacy::open(http, url, headers, limits.message);
        let witness = self.witness();
        let opened = match tokio::time::timeout(limits.initialize, opening).await {
            Ok(opened) => opened?,
            Err(_) => return Err(witness.silent("the connection", limits.initialize).await),
        };
        let transport = LegacyTransport::new(opened, &self.masks, &witness.troubles);
        self.serve(transport, witness, None, None).await
    }

    /// Agrees with the server on a protocol.
    async fn serve<T>(
        &self,
        transport: T,
        witness: Witness,
        mut child: Option<child::Child>,
        login: Option<Login>,
    ) -> Result<Client>
    where
        T: Transport<RoleClient> + Send + 'static,
    {
        let limits = self.options.limits.clone();
        let handler = Handler { ask: self.options.ask.clone() };
        let began = Instant::now();
        let agreeing = handler.serve_with_lifecycle(transport, self.lifecycle());
        let agreed = match tokio::time::timeout(limits.initialize, agreeing).await {
            Ok(Ok(service)) => Ok(service),
            Ok(Err(error)) => Err(witness.explain_start(error, child.as_mut(), &self.masks).await),
            Err(_) => Err(witness.silent("initialize", limits.initialize).await),
        };
        let service = match agreed {
            Ok(service) => service,
            Err(error) => {
                if let Some(child) = child {
                    child.end().await;
                }
                return Err(error);
            }
        };
        let (masks, initialize) = (self.masks.clone(), began.elapsed());
        Ok(Client { service, child, witness, limits, masks, initialize, login })
    }

    fn lifecycle(&self) -> ClientLifecycleMode {
        match self.handshake {
            Handshake::Discover => {
                let preferred_versions = vec![ProtocolVersion::LATEST];
                ClientLifecycleMode::Discover { preferred_versions }
            }
            _ => ClientLifecycleMode::Initialize,
        }
    }

    fn witness(&self) -> Witness {
        Witness { server: self.target.name(), troubles: Troubles::default(), said: None }
    }
}
