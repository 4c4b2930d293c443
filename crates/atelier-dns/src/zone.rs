//! The records as their users see them: a handle that is cheap to clone, with updates that are seen
//! whole or not at all.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::name;
use crate::tables::{Addresses, Found, Tables};

/// A name with its addresses.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Record {
    name: String,
    addresses: Vec<IpAddr>,
    #[serde(default)]
    pointer: bool,
}

impl Record {
    /// `name` leads to `addresses`, of both kinds and in any number. A name `*.agent-1.test`
    /// speaks for all that does not exist below `agent-1.test` (RFC 4592). Without addresses the
    /// name exists and has none.
    pub fn new(name: impl Into<String>, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { name: name.into(), addresses: addresses.into_iter().collect(), pointer: false }
    }

    /// The same, and its addresses lead back to the name (PTR), where they are in a range that the
    /// server answers for. When several names want an address, that of the first owner has it.
    #[must_use]
    pub fn with_pointer(mut self) -> Self {
        self.pointer = true;
        self
    }

    /// The name; of a zone's snapshot in lower case without a final dot.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The addresses, in the order given.
    #[must_use]
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Whether its addresses lead back to it.
    #[must_use]
    pub fn leads_back(&self) -> bool {
        self.pointer
    }
}

/// All records at one moment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Snapshot {
    /// The suffixes that are answered for, the longest first.
    pub suffixes: Vec<String>,
    /// Which records each owner has.
    pub owners: BTreeMap<String, Vec<Record>>,
    /// The serial number of the zones (SOA): it grows with each change.
    pub serial: u32,
}

/// The records of all suffixes. Clones are the same zone.
#[derive(Debug, Clone)]
pub struct Zone {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    suffixes: Vec<String>,
    // Readers hold it for one look-up, writers for one owner's names: well below the cost of the
    // system calls around them, and an update is never seen by halves.
    tables: RwLock<Tables>,
    serial: AtomicU32,
}

impl Zone {
    /// A zone without records, which answers for these suffixes: `test`, `dev.example.org`.
    ///
    /// # Errors
    /// [`Error::Name`] for what is no name, [`Error::Options`] when there is none.
    pub fn new(suffixes: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self> {
        let mut checked = Vec::new();
        for given in suffixes {
            checked.push(name::suffix(given.as_ref())?);
        }
        checked.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        checked.dedup();
        if checked.is_empty() {
            return Err(Error::Options("no suffix is given".to_owned()));
        }
        // Serial numbers must grow over restarts too, and seconds do.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let serial = AtomicU32::new(u32::try_from(now & 0xffff_ffff).unwrap_or(1));
        let shared = Shared { suffixes: checked, tables: RwLock::default(), serial };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Replaces all records of an owner, at once. Says whether anything is different now.
    ///
    /// # Errors
    /// [`Error::Name`] and [`Error::Outside`]; then nothing has changed.
    pub fn set(&self, owner: &str, records: Vec<Record>) -> Result<bool> {
        let mut checked = Vec::with_capacity(records.len());
        for record in records {
            checked.push(Record { name: self.checked(&record.name)?, ..record });
        }
        let mut tables = self.shared.tables.write().unwrap_or_else(PoisonError::into_inner);
        let changed = tables.set(owner, checked);
        self.count(changed);
        Ok(changed)
    }

    /// Removes all records of an owner. Says whether there were any.
    pub fn remove(&self, owner: &str) -> bool {
        let mut tables = self.shared.tables.write().unwrap_or_else(PoisonError::into_inner);
        let changed = tables.remove(owner);
        self.count(changed);
        changed
    }

    /// All records, as they are at one moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let tables = self.tables();
        Snapshot {
            suffixes: self.shared.suffixes.clone(),
            owners: tables.records(),
            serial: self.serial(),
        }
    }

    /// What a question for the name would be answered with. `None`: there is no such name here.
    #[must_use]
    pub fn lookup(&self, name: &str) -> Option<Vec<IpAddr>> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        match self.find(&name, self.apex(&name)?) {
            Found::Name(found) => {
                let v4 = found.v4.iter().copied().map(IpAddr::V4);
                Some(v4.chain(found.v6.iter().copied().map(IpAddr::V6)).collect())
            }
            Found::Nothing => None,
        }
    }

    /// The suffixes that are answered for, the longest first.
    #[must_use]
    pub fn suffixes(&self) -> &[String] {
        &self.shared.suffixes
    }

    /// The suffix that a name in lower case is under.
    pub(crate) fn apex(&self, name: &str) -> Option<&str> {
        self.shared.suffixes.iter().map(String::as_str).find(|s| name::is_within(name, s))
    }

    pub(crate) fn find(&self, name: &str, apex: &str) -> Found {
        self.tables().find(name, apex)
    }

    pub(crate) fn addresses(&self, name: &str, apex: &str) -> Option<Addresses> {
        match self.find(name, apex) {
            Found::Name(addresses) => Some(addresses),
            Found::Nothing => None,
        }
    }

    pub(crate) fn pointer(&self, address: IpAddr) -> Option<String> {
        self.tables().pointer(address).map(str::to_owned)
    }

    pub(crate) fn serial(&self) -> u32 {
        self.shared.serial.load(Ordering::Relaxed)
    }

    fn tables(&self) -> RwLockReadGuard<'_, Tables> {
        self.shared.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, changed: bool) {
        self.shared.serial.fetch_add(u32::from(changed), Ordering::Relaxed);
    }

    fn checked(&self, given: &str) -> Result<String> {
        let name = name::checked(given)?;
        match self.apex(name.strip_prefix("*.").unwrap_or(&name)) {
            Some(_) => Ok(name),
            None => Err(Error::Outside { name, suffixes: self.shared.suffixes.clone() }),
        }
    }
}
