//! `seed.*`: data that the services of new environments start with.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::operation::operation;
use crate::{HostPath, Name};

/// Input of [`SeedSave`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SeedSaveInput {
    /// The seed's name.
    pub seed: Name,
    /// The environment whose data it is.
    pub env: Name,
    /// A folder in the project.
    pub project: HostPath,
}

/// Input of [`SeedList`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SeedListInput {
    /// A folder in the project.
    pub project: HostPath,
}

/// Which seed: a name within a project.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SeedRef {
    /// The seed's name.
    pub seed: Name,
    /// A folder in the project.
    pub project: HostPath,
}

/// An environment's data, kept under a name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Seed {
    /// Its name.
    pub name: Name,
    /// The environment whose data it was.
    pub env: Name,
    /// When it was saved.
    pub made_at: Timestamp,
    /// What it takes on disk, in bytes.
    pub size_bytes: u64,
    /// The volumes in it, by their keys in the Compose files.
    pub volumes: Vec<String>,
    /// The services whose own tools have written what is in it.
    pub dumps: Vec<String>,
}

operation! {
    /// Keeps an environment's data under a name, for environments that come later.
    SeedSave: "seed.save" Post "/seeds" Change
    (SeedSaveInput) -> Seed, |i| crate::env::place(&i.seed, &i.project)
}
operation! {
    /// Lists the seeds of a project.
    SeedList: "seed.list" Get "/seeds" Read
    (SeedListInput) -> Vec<Seed>, |i| i.project.encode()
}
operation! {
    /// Removes a seed.
    SeedRemove: "seed.remove" Delete "/seeds/{seed}" Change
    (SeedRef) -> crate::system::Nothing, |i| crate::env::place(&i.seed, &i.project)
}
