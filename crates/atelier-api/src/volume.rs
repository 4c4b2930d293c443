//! `volume.*`: files that outlive sandboxes and are shared between them.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::operation::operation;
use crate::system::Nothing;

/// Where a sandbox has a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeMount {
    /// The volume, by name or id.
    pub volume: String,
    /// The absolute path inside; it is made when it is missing.
    pub path: String,
}

/// Input of [`VolumeCreate`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VolumeCreateInput {
    /// A name, unique among volumes: 1 to 128 letters, digits, `-` and `_`.
    pub name: String,
}

/// Which volume.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VolumeRef {
    /// Id or name.
    pub volume: String,
}

/// One volume.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Volume {
    /// Unique for ever: 32 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The sandboxes that have it, by id: as long as there are any it stays.
    pub sandboxes: Vec<String>,
}

/// A volume with what is only told to those who may use it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VolumeDetail {
    /// The volume.
    #[serde(flatten)]
    pub volume: Volume,
    /// Bytes on disk.
    pub size_bytes: u64,
    /// Opens its files over the E2B API (`Authorization: Bearer`).
    pub token: String,
}

operation! {
    /// Makes an empty volume.
    VolumeCreate: "volume.create" Post "/volumes" Change
    (VolumeCreateInput) -> VolumeDetail, |i| i.name.clone()
}
operation! {
    /// Lists volumes, by name.
    VolumeList: "volume.list" Get "/volumes" Read
    (Nothing) -> Vec<Volume>, |_i| String::new()
}
operation! {
    /// Shows one volume, with the token that opens its files.
    VolumeShow: "volume.show" Get "/volumes/{volume}" Read
    (VolumeRef) -> VolumeDetail, |i| i.volume.clone()
}
operation! {
    /// Removes a volume with everything in it; one that a sandbox has stays.
    VolumeRemove: "volume.remove" Delete "/volumes/{volume}" Change
    (VolumeRef) -> Nothing, |i| i.volume.clone()
}
