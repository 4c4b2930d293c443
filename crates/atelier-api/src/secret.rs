//! `secret.*`: values that header rules name and that no sandbox sees.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::operation::operation;
use crate::system::Nothing;

/// Input of [`SecretCreate`].
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct SecretCreateInput {
    /// A name, unique among secrets: 1 to 128 letters, digits, `-` and `_`, kept in lower case.
    pub name: String,
    /// What it stands for: up to 16 KiB of text in one line. It is never shown again.
    pub value: String,
    /// What is to be known about it: at most 32 words of up to 128 bytes, each with up to 1,024 bytes.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// Input of [`SecretUpdate`].
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct SecretUpdateInput {
    /// The secret, by name or id.
    pub secret: String,
    /// What it stands for from now on.
    pub value: String,
    /// What is to be known about it from now on; as it is when it is missing.
    #[serde(default)]
    pub metadata: Option<BTreeMap<String, String>>,
}

/// Which secret.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    /// Name or id.
    pub secret: String,
}

/// One secret, without its value.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Secret {
    /// Unique for ever: `sec_` and 32 hexadecimal digits.
    pub id: String,
    /// Its name: rules have `${secrets.NAME}` in a header's value.
    pub name: String,
    /// How many values it has had.
    pub version: u64,
    /// What is to be known about it.
    pub metadata: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its value was last changed.
    pub updated_at: Timestamp,
}

impl fmt::Debug for SecretCreateInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretCreateInput").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for SecretUpdateInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretUpdateInput").field("secret", &self.secret).finish_non_exhaustive()
    }
}

operation! {
    /// Keeps a secret for header rules.
    SecretCreate: "secret.create" Post "/secrets" Change
    (SecretCreateInput) -> Secret, |i| i.name.clone()
}
operation! {
    /// Gives a secret another value: requests that follow get it.
    SecretUpdate: "secret.update" Post "/secrets/{secret}" Change
    (SecretUpdateInput) -> Secret, |i| i.secret.clone()
}
operation! {
    /// Lists secrets without their values, by name.
    SecretList: "secret.list" Get "/secrets" Read
    (Nothing) -> Vec<Secret>, |_i| String::new()
}
operation! {
    /// Shows one secret without its value.
    SecretShow: "secret.show" Get "/secrets/{secret}" Read
    (SecretRef) -> Secret, |i| i.secret.clone()
}
operation! {
    /// Removes a secret: requests to hosts whose rules name it are refused from then on.
    SecretRemove: "secret.remove" Delete "/secrets/{secret}" Change
    (SecretRef) -> Nothing, |i| i.secret.clone()
}
