//! The permission of a user for a remote server: asked for once, kept by the caller, renewed without the user.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use atelier_api::Fault;
use atelier_mcp::{
    BridgeOptions, ClientOptions, Consent, LoopbackConsent, OAuth, Target, TokenStore, bridge,
    inspect,
};
use hyper::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::remote::{Answer, Asked, Remote, json as plain, status};

/// A shelf that outlives the client, as a file does.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Option<String>>>);

impl TokenStore for Shelf {
    fn load(&self) -> io::Result<Option<String>> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn save(&self, tokens: &str) -> io::Result<()> {
        *self.0.lock().unwrap() = Some(tokens.to_owned());
        Ok(())
    }

    fn clear(&self) -> io::Result<()> {
        *self.0.lock().unwrap() = None;
        Ok(())
    }
}

/// A server with who gives permissions for it: a code for whoever comes, tokens that live for `seconds`.
async fn guarded(seconds: u32) -> Remote {
    let tokens = AtomicU32::new(0);
    Remote::start(move |asked| {
        let base = format!("http://{}", asked.header("host"));
        let path = asked.path.split('?').next().unwrap_or_default();
        match path {
            "/mcp" if asked.header("authorization").starts_with("Bearer token-") => mcp(asked),
            "/mcp" => {
                let place = format!("{base}/.well-known/oauth-protected-resource/mcp");
                let mut answer = status(401);
                let wants = format!("Bearer resource_metadata=\"{place}\"");
                answer.headers_mut().insert("www-authenticate", wants.parse().unwrap());
                answer
            }
            "/.well-known/oauth-protected-resource/mcp" => plain(
                200,
                &json!({"resource": format!("{base}/mcp"), "authorization_servers": [base]}),
            ),
            "/.well-known/oauth-authorization-server" => plain(200, &authority(&base)),
            "/register" => plain(
                201,
                &json!({"client_id": "us", "redirect_uris": asked.message["redirect_uris"]}),
            ),
            "/authorize" => back(asked),
            "/token" => {
                let number = tokens.fetch_add(1, Ordering::SeqCst);
                plain(
                    200,
                    &json!({"access_token": format!("token-{number}"), "token_type": "Bearer",
                    "refresh_token": "again", "expires_in": seconds}),
                )
            }
            _ => status(404),
        }
    })
    .await
}

fn authority(base: &str) -> Value {
    json!({"issuer": base, "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"), "registration_endpoint": format!("{base}/register"),
        "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"]})
}

/// The page sends the browser back at once.
fn back(asked: &Asked) -> Answer {
    let url = reqwest::Url::parse(&format!("http://x{}", asked.path)).unwrap();
    let of = |name: &str| url.query_pairs().find(|(k, _)| k == name).unwrap().1.into_owned();
    let mut answer = status(302);
    let place = format!("{}?code=c&state={}", of("redirect_uri"), of("state"));
    answer.headers_mut().insert("location", place.parse().unwrap());
    answer
}

fn mcp(asked: &Asked) -> Answer {
    let result = match asked.rpc() {
        "initialize" => json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
            "serverInfo": {"name": "guarded", "version": "1"}}),
        "tools/list" => json!({"tools": []}),
        _ if asked.method == Method::POST => return status(202),
        _ => return status(405),
    };
    plain(200, &json!({"jsonrpc": "2.0", "id": asked.message["id"], "result": result}))
}

/// A user with a browser, who agrees.
async fn browser() -> LoopbackConsent {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let show = |page: &str| {
        let visit = reqwest::Client::builder().no_proxy().build().unwrap().get(page).send();
        tokio::spawn(async move { assert!(visit.await.unwrap().status().is_success()) });
    };
    LoopbackConsent::listen(Duration::from_secs(30), show).await.unwrap()
}

fn with(oauth: OAuth) -> ClientOptions {
    ClientOptions { oauth: Some(oauth), ..ClientOptions::default() }
}

fn pages(remote: &Remote) -> usize {
    remote.of(&Method::GET).iter().filter(|asked| asked.path.starts_with("/authorize")).count()
}

#[tokio::test]
async fn the_user_is_asked_once_and_what_is_kept_lasts() {
    let (remote, shelf) = (guarded(3600).await, Shelf::default());
    let target = Target::http(&remote.url);
    let asking = with(OAuth::stored_in(shelf.clone()).asking(browser().await));
    assert_eq!(inspect(&target, &asking).await.unwrap().server.as_deref(), Some("guarded"));
    assert_eq!(pages(&remote), 1);
    let later = with(OAuth::stored_in(shelf.clone()));
    inspect(&target, &later).await.unwrap();
    assert_eq!(pages(&remote), 1);
    assert!(shelf.load().unwrap().unwrap().contains("token-0"));
}

#[tokio::test]
async fn without_a_user_what_is_not_kept_is_not_had() {
    let remote = guarded(3600).await;
    let nobody = with(OAuth::stored_in(Shelf::default()));
    let error = inspect(&Target::http(&remote.url), &nobody).await.unwrap_err();
    assert_eq!((error.code(), error.exit().code()), ("mcp.unauthorized", 10), "{error}");
}

#[tokio::test]
async fn a_bridge_renews_what_is_kept_and_shows_the_agent_nothing_of_it() {
    // Tokens that are as good as over when they come.
    let (remote, shelf) = (guarded(1).await, Shelf::default());
    let target = Target::http(&remote.url);
    inspect(&target, &with(OAuth::stored_in(shelf.clone()).asking(browser().await))).await.unwrap();
    let options =
        BridgeOptions { oauth: Some(OAuth::stored_in(shelf.clone())), ..BridgeOptions::default() };
    let (near, far) = tokio::io::duplex(1 << 16);
    let (input, output) = tokio::io::split(far);
    let bridging = bridge(&target, input, output, std::future::pending(), &options);
    let (receive, mut send) = tokio::io::split(near);
    let agent = async {
        let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}});
        send.write_all(format!("{hello}\n").as_bytes()).await.unwrap();
        let line = BufReader::new(receive).lines().next_line().await.unwrap().unwrap();
        send.shutdown().await.unwrap();
        line
    };
    let (line, done) = tokio::join!(agent, bridging);
    done.unwrap();
    assert!(line.contains("guarded") && !line.contains("token-"), "{line}");
    assert_eq!(pages(&remote), 1);
    let posts = remote.of(&Method::POST);
    let renewed = |asked: &&Asked| asked.body.contains("grant_type=refresh_token");
    assert!(posts.iter().any(|asked| renewed(&asked)), "it renews");
}

#[tokio::test]
async fn a_user_who_does_not_come_back_is_an_error() {
    let remote = guarded(3600).await;
    let absent = LoopbackConsent::listen(Duration::from_millis(50), |_| {}).await.unwrap();
    assert!(absent.redirect().starts_with("http://127.0.0.1:"));
    let asking = with(OAuth::stored_in(Shelf::default()).asking(absent));
    let error = inspect(&Target::http(&remote.url), &asking).await.unwrap_err();
    assert_eq!(error.code(), "mcp.permission", "{error}");
    assert!(error.to_string().contains("did not come back"), "{error}");
}
