//! What a user can do: a file for each verb. Each gives a value; none prints.

mod add;
mod import;
mod init;
mod install;
mod list;
mod profile;
mod recipient;
mod record;
mod registry;
mod remove;
mod report;
mod search;
mod sync;
mod upgrade;
mod validate;

pub use crate::git::passthrough as git;
pub use add::{AddOptions, Added, add};
pub use import::{Import, ImportOptions, Imported, Keep, Kept, Wiring, import_atk};
pub use init::{Initialised, clone, init};
pub use install::{InstallOptions, Installed, install};
pub use list::{Row, Shown, files, installed, ls, show};
pub use profile::{Profile, profile_create, profile_ls, profile_use};
pub use recipient::{Reseal, recipient_add, recipient_remove, recipients};
pub use record::record;
pub use registry::{Known, registry_add, registry_ls, registry_remove};
pub use remove::{RemoveOptions, Removed, remove};
pub use search::{Found, Hit, SearchOptions, Searched, search};
pub use sync::{Synced, Way, sync};
pub use upgrade::{Outcome, Prefer, UpgradeOptions, Upgraded, outdated, upgrade, upgrade_all};
pub use validate::{Validated, validate};
