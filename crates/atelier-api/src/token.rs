//! `token.*`: keys of the API for callers that come over TCP.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::operation::operation;
use crate::system::Nothing;

/// What a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everything.
    Admin,
    /// Sandboxes, snapshots, images and templates; the E2B API.
    Sandboxes,
    /// Everything that only reads, and shows no secret.
    Read,
}

/// Input of [`TokenCreate`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenCreateInput {
    /// A name, unique among tokens.
    pub name: String,
    /// What it opens; `sandboxes` when empty.
    #[serde(default)]
    pub scopes: Vec<Scope>,
    /// Seconds until it ends; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

/// One token, without its secret.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    /// Unique for ever.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The beginning of its secret, to recognise it by.
    pub prefix: String,
    /// What it opens.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

/// A new token: the only time that its secret is shown.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NewToken {
    /// The token.
    #[serde(flatten)]
    pub token: Token,
    /// `e2b_` and 40 hexadecimal digits.
    pub secret: String,
}

/// Which token.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenRef {
    /// Id or name.
    pub token: String,
}

operation! {
    /// Makes a token and shows its secret once.
    TokenCreate: "token.create" Post "/tokens" Change
    (TokenCreateInput) -> NewToken, |i| i.name.clone()
}
operation! {
    /// Lists tokens without their secrets.
    TokenList: "token.list" Get "/tokens" Read
    (Nothing) -> Vec<Token>, |_i| String::new()
}
operation! {
    /// Revokes a token at once.
    TokenRevoke: "token.revoke" Delete "/tokens/{token}" Change
    (TokenRef) -> Nothing, |i| i.token.clone()
}
