//! The permission of a user for a remote server (OAuth 2.1, as MCP's specification draws it): where the
//! tokens lie and who asks the user is the caller's.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::Url;
use rmcp::transport::auth::{
    AuthClient, AuthError, AuthorizationCallback, AuthorizationManager, AuthorizationRequest,
    CredentialStore, OAuthState, StoredCredentials, WWWAuthenticateParams,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::error::{McpError, Result};
use crate::target::shown;

/// Where the tokens for one server lie. What is stored is a secret; its form is ours.
pub trait TokenStore: Send + Sync {
    /// What was saved, if anything.
    ///
    /// # Errors
    /// When it cannot be read.
    fn load(&self) -> io::Result<Option<String>>;
    /// Keeps it, in place of what was there.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn save(&self, tokens: &str) -> io::Result<()>;
    /// Forgets it.
    ///
    /// # Errors
    /// When it cannot be forgotten.
    fn clear(&self) -> io::Result<()>;
}

/// Who asks the user.
pub trait Consent: Send + Sync {
    /// Where the user's browser is sent back to.
    fn redirect(&self) -> String;
    /// Shows the user this page, and waits for the URL that the browser comes back with.
    ///
    /// # Errors
    /// When the user does not come back.
    fn ask<'a>(&'a self, page: &'a str) -> BoxFuture<'a, io::Result<String>>;
}

/// What a server's operator registered us as.
#[derive(Clone)]
pub struct Registered {
    /// The client's identifier.
    pub id: String,
    /// Its secret, if it has one.
    pub secret: Option<String>,
}

/// How permissions for a server are had.
#[derive(Clone)]
pub struct OAuth {
    /// Where its tokens lie.
    pub store: Arc<dyn TokenStore>,
    /// Who asks the user; nobody means that only what is stored counts.
    pub consent: Option<Arc<dyn Consent>>,
    /// What we are registered as; without, we register ourselves where that is offered.
    pub registered: Option<Registered>,
    /// Where a document describes this client (Client ID Metadata Documents).
    pub metadata_url: Option<String>,
}

impl std::fmt::Debug for OAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OAuth").field("asks", &self.consent.is_some()).finish_non_exhaustive()
    }
}

/// An HTTP client with the user's permission.
pub(crate) type Permitted = AuthClient<reqwest::Client>;

impl OAuth {
    /// With what is stored, and nobody to ask.
    pub fn stored_in(store: impl TokenStore + 'static) -> Self {
        Self { store: Arc::new(store), consent: None, registered: None, metadata_url: None }
    }

    /// The same, asking the user where needed.
    #[must_use]
    pub fn asking(mut self, consent: impl Consent + 'static) -> Self {
        self.consent = Some(Arc::new(consent));
        self
    }

    /// A client with the permission that is stored; without any, one that can be given one.
    pub(crate) async fn client(&self, url: &Url, http: &reqwest::Client) -> Result<Permitted> {
        let failed = |e: &AuthError| refused(url, e);
        let mut manager = self.manager(url).await.map_err(|e| failed(&e))?;
        if self.store.load().map_err(|e| denied(url, &e.to_string()))?.is_some() {
            manager.initialize_from_store().await.map_err(|e| failed(&e))?;
        }
        Ok(AuthClient::new(http.clone(), manager))
    }

    /// Asks the user for what a server's challenge wants, and gives it to the client.
    pub(crate) async fn permit(
        &self,
        url: &Url,
        permitted: &Permitted,
        challenge: &str,
    ) -> Result<()> {
        let consent = self.consent(url, challenge)?;
        let mut manager = permitted.auth_manager.lock().await;
        if wants_more(challenge, url) {
            return widen(url, &manager, consent.as_ref(), challenge).await;
        }
        *manager = self.authorize(url, consent.as_ref(), challenge).await?;
        Ok(())
    }

    /// From nothing: finds who gives permissions, registers us, asks the user.
    async fn authorize(
        &self,
        url: &Url,
        consent: &dyn Consent,
        challenge: &str,
    ) -> Result<AuthorizationManager> {
        let failed = |e: AuthError| refused(url, &e);
        let mut state = OAuthState::Unauthorized(self.manager(url).await.map_err(failed)?);
        let mut request = AuthorizationRequest::new(consent.redirect()).with_client_name("Atelier");
        if let Some(registered) = &self.registered {
            request = request.with_preregistered_client(&registered.id);
            if let Some(secret) = &registered.secret {
                request = request.with_client_secret(secret);
            }
        }
        if let Some(document) = &self.metadata_url {
            request = request.with_client_metadata_url(document);
        }
        if !challenge.is_empty() {
            request = request.with_challenge(challenge);
        }
        state.start_authorization(request).await.map_err(failed)?;
        let page = state.get_authorization_url().await.map_err(failed)?;
        let back = consent.ask(&page).await.map_err(|e| denied(url, &e.to_string()))?;
        state.handle_callback_url(&back).await.map_err(failed)?;
        let manager = state.into_authorization_manager();
        manager.ok_or_else(|| denied(url, "the login did not end"))
    }

    async fn manager(&self, url: &Url) -> std::result::Result<AuthorizationManager, AuthError> {
        crate::http::provide_ring();
        let mut manager = AuthorizationManager::new(url.clone()).await?;
        manager.set_credential_store(Shelf(self.store.clone()));
        Ok(manager)
    }

    fn consent(&self, url: &Url, challenge: &str) -> Result<&Arc<dyn Consent>> {
        self.consent.as_ref().ok_or_else(|| McpError::Unauthorized {
            server: shown(url),
            challenge: challenge.to_owned(),
        })
    }
}

/// Asks the user for more than was permitted before.
async fn widen(
    url: &Url,
    manager: &AuthorizationManager,
    consent: &dyn Consent,
    challenge: &str,
) -> Result<()> {
    let failed = |e: AuthError| refused(url, &e);
    let wanted = WWWAuthenticateParams::parse(challenge, url).scope.unwrap_or_default();
    let page = manager.request_scope_upgrade(&wanted).await.map_err(failed)?;
    let back = consent.ask(&page).await.map_err(|e| denied(url, &e.to_string()))?;
    let back = AuthorizationCallback::from_redirect_url(&back).map_err(failed)?;
    let (code, state, issuer) = (&back.code, &back.csrf_token, back.issuer.as_deref());
    manager.exchange_code_for_token_with_issuer(code, state, issuer).await.map_err(failed)?;
    Ok(())
}

/// Whether a challenge wants more than was permitted, rather than anything at all.
fn wants_more(challenge: &str, url: &Url) -> bool {
    WWWAuthenticateParams::parse(challenge, url).is_insufficient_scope()
}

fn refused(url: &Url, error: &AuthError) -> McpError {
    denied(url, &crate::http::words(error))
}

fn denied(url: &Url, why: &str) -> McpError {
    McpError::Permission { server: shown(url), why: why.to_owned() }
}

/// The caller's store for the SDK.
struct Shelf(Arc<dyn TokenStore>);

fn broken(error: impl std::fmt::Display) -> AuthError {
    AuthError::CredentialStoreError(error.to_string())
}

#[async_trait::async_trait]
impl CredentialStore for Shelf {
    async fn load(&self) -> std::result::Result<Option<StoredCredentials>, AuthError> {
        let text = self.0.load().map_err(broken)?;
        // What an older version wrote and we cannot read is as good as nothing.
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    async fn save(&self, credentials: StoredCredentials) -> std::result::Result<(), AuthError> {
        let text = serde_json::to_string(&credentials).map_err(broken)?;
        self.0.save(&text).map_err(broken)
    }

    async fn clear(&self) -> std::result::Result<(), AuthError> {
        self.0.clear().map_err(broken)
    }
}

/// Asks with the user's browser, which comes back to a port of loopback.
pub struct LoopbackConsent {
    listener: TcpListener,
    port: u16,
    show: Box<dyn Fn(&str) + Send + Sync>,
    patience: Duration,
}

impl LoopbackConsent {
    /// Listens on a port that is free. `show` opens or prints the page's URL.
    ///
    /// # Errors
    /// When no port can be listened on.
    pub async fn listen(
        patience: Duration,
        show: impl Fn(&str) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port, show: Box::new(show), patience })
    }

    async fn comes_back(&self) -> io::Result<String> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            // What a browser asks besides, and what breaks off, is none of ours.
            let path = tokio::time::timeout(Duration::from_secs(5), visit(stream)).await;
            if let Ok(Ok(Some(path))) = path {
                return Ok(format!("http://127.0.0.1:{}{path}", self.port));
            }
        }
    }
}

impl Consent for LoopbackConsent {
    fn redirect(&self) -> String {
        format!("http://127.0.0.1:{}/callback", self.port)
    }

    fn ask<'a>(&'a self, page: &'a str) -> BoxFuture<'a, io::Result<String>> {
        Box::pin(async move {
            (self.show)(page);
            let back = tokio::time::timeout(self.patience, self.comes_back()).await;
            back.unwrap_or_else(|_| Err(io::Error::other("the browser did not come back in time")))
        })
    }
}

/// One request of the browser's: its path, if it is the one that we wait for.
async fn visit(mut stream: TcpStream) -> io::Result<Option<String>> {
    let mut request = Vec::new();
    while !request.windows(4).any(|four| four == b"\r\n\r\n") && request.len() < 32 << 10 {
        if stream.read_buf(&mut request).await? == 0 {
            break;
        }
    }
    let text = String::from_utf8_lossy(&request);
    let path = text.strip_prefix("GET ").and_then(|rest| rest.split(' ').next());
    let path = path.filter(|path| path.starts_with("/callback?")).map(ToOwned::to_owned);
    let (status, body) = match path {
        Some(_) => ("200 OK", "Atelier has what it needs. You can close this page."),
        None => ("404 Not Found", "Nothing is here."),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(path)
}
