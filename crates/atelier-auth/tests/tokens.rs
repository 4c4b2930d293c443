//! Tokens as the control plane uses them, on a real database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use atelier_api::token::Scope;
use atelier_api::{Effect, ExitCode, Fault};
use atelier_auth::{Denied, TokenError, Tokens};
use atelier_store::Store;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

async fn tokens() -> (TempDir, Store, Tokens) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("state.db")).await.unwrap();
    (dir, store.clone(), Tokens::new(store))
}

async fn column(store: &Store, column: &str) -> Vec<Option<String>> {
    let sql = format!("SELECT {column} FROM tokens");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(store.pool()).await.unwrap()
}

#[tokio::test]
async fn a_secret_lets_its_token_in_with_its_scopes() {
    let (_dir, _store, tokens) = tokens().await;
    let (token, secret) = tokens.create("ci", &[Scope::Read, Scope::Read], None).await.unwrap();
    assert_eq!(token.scopes, [Scope::Read]);
    assert!(secret.starts_with(&token.prefix) && token.prefix.len() == 10);
    let caller = tokens.check(&secret).await.unwrap();
    assert_eq!(caller.to_string(), "token:ci");
    assert!(caller.authorise("sandbox.list", Effect::Read, 0).is_ok());
    assert!(caller.authorise("sandbox.create", Effect::Change, 0).is_err());
}

#[tokio::test]
async fn the_database_never_holds_the_secret() {
    let (dir, store, tokens) = tokens().await;
    let (_, secret) = tokens.create("ci", &[], None).await.unwrap();
    tokens.check(&secret).await.unwrap();
    assert_eq!(column(&store, "hash").await[0].as_ref().unwrap().len(), 64);
    store.close().await;
    let hidden = secret.as_bytes()[10..].to_vec();
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(hidden.len()).any(|window| window == hidden));
    }
}

#[tokio::test]
async fn wrong_secrets_are_refused_even_with_the_right_beginning() {
    let (_dir, _store, tokens) = tokens().await;
    let (_, secret) = tokens.create("ci", &[], None).await.unwrap();
    let last = if secret.ends_with('0') { '1' } else { '0' };
    let near = format!("{}{last}", &secret[..secret.len() - 1]);
    for wrong in ["", "e2b_", "secret", near.as_str(), &secret.to_uppercase()] {
        assert_eq!(tokens.check(wrong).await, Err(Denied::NoKey), "{wrong}");
    }
}

#[tokio::test]
async fn a_revocation_holds_at_once_although_checks_are_remembered() {
    let (_dir, store, tokens) = tokens().await;
    let (_, secret) = tokens.create("ci", &[], None).await.unwrap();
    let (kept, other) = tokens.create("other", &[], None).await.unwrap();
    tokens.check(&secret).await.unwrap();
    // Remembered: the row is gone behind its back, and the check still succeeds without a query.
    sqlx::query("DELETE FROM tokens WHERE name = 'other'").execute(store.pool()).await.unwrap();
    assert_eq!(tokens.check(&other).await, Err(Denied::NoKey));
    let (_, third) = tokens.create("third", &[], None).await.unwrap();
    tokens.check(&third).await.unwrap();
    sqlx::query("DELETE FROM tokens WHERE name = 'third'").execute(store.pool()).await.unwrap();
    assert!(tokens.check(&third).await.is_ok());

    tokens.clone().revoke("ci").await.unwrap();
    assert_eq!(tokens.check(&secret).await, Err(Denied::NoKey));
    assert_eq!(tokens.check(&third).await, Err(Denied::NoKey));
    assert_eq!(tokens.revoke("ci").await.unwrap_err().exit(), ExitCode::NotFound);
    assert_eq!(tokens.revoke(&kept.id).await.unwrap_err().exit(), ExitCode::NotFound);
}

#[tokio::test]
async fn a_token_is_revoked_by_its_id_too_and_its_name_is_free_again() {
    let (_dir, _store, tokens) = tokens().await;
    let (token, _) = tokens.create("ci", &[], None).await.unwrap();
    assert!(matches!(tokens.create("ci", &[], None).await, Err(TokenError::Taken(_))));
    tokens.revoke(&token.id).await.unwrap();
    tokens.create("ci", &[Scope::Admin], None).await.unwrap();
    let list = tokens.list().await.unwrap();
    assert_eq!((list.len(), list[0].name.as_str()), (1, "ci"));
}

#[tokio::test]
async fn a_token_ends_when_its_time_is_over_also_a_remembered_one() {
    let (_dir, store, tokens) = tokens().await;
    let past = Timestamp::now() - SignedDuration::from_secs(1);
    assert!(matches!(tokens.create("ci", &[], Some(past)).await, Err(TokenError::Ended(_))));
    let soon = Timestamp::now() + SignedDuration::from_millis(300);
    let (_, secret) = tokens.create("ci", &[], Some(soon)).await.unwrap();
    tokens.check(&secret).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    let expired = |denied| matches!(denied, Err(Denied::Expired { token, .. }) if token == "ci");
    assert!(expired(tokens.check(&secret).await));
    assert!(expired(Tokens::new(store).check(&secret).await));
}

#[tokio::test]
async fn its_last_use_is_listed_and_written_once_a_minute() {
    let (_dir, store, tokens) = tokens().await;
    let (_, secret) = tokens.create("ci", &[], None).await.unwrap();
    assert_eq!(tokens.list().await.unwrap()[0].last_used_at, None);
    tokens.check(&secret).await.unwrap();
    let first = column(&store, "last_used_at").await;
    assert!(first[0].is_some());
    Tokens::new(store.clone()).check(&secret).await.unwrap();
    assert_eq!(column(&store, "last_used_at").await, first);
}

#[tokio::test]
async fn names_that_would_be_mistaken_are_refused() {
    let (_dir, _store, tokens) = tokens().await;
    let long = "a".repeat(65);
    let id = "0199d6a4-5b7e-7c3a-9a51-0f3f6f0f2b11";
    for name in ["", "a b", "-x", "a\n", "ä", long.as_str(), id] {
        let error = tokens.create(name, &[], None).await.unwrap_err();
        assert_eq!((error.code(), error.exit()), ("token.name", ExitCode::Usage), "{name}");
    }
}

#[tokio::test]
async fn without_a_database_nobody_is_let_in() {
    let (_dir, store, tokens) = tokens().await;
    let (_, secret) = tokens.create("ci", &[], None).await.unwrap();
    store.close().await;
    assert_eq!(tokens.check(&secret).await, Err(Denied::Unchecked));
}
