//! The names with their addresses, kept so that an update touches the names of its owner only and
//! a look-up needs a hash for each label. No locks, no wire format.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::name::{is_within, parent};
use crate::zone::Record;

/// What a name has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Addresses {
    pub(crate) v4: Arc<[Ipv4Addr]>,
    pub(crate) v6: Arc<[Ipv6Addr]>,
}

/// What is known of a name.
#[derive(Debug)]
pub(crate) enum Found {
    /// It exists; its addresses may be none, as of a name that only has others below it.
    Name(Addresses),
    /// There is no such name.
    Nothing,
}

/// A name that exists.
#[derive(Debug, Default)]
struct Node {
    /// Who gave it which addresses, by owner.
    claims: BTreeMap<Arc<str>, Vec<IpAddr>>,
    addresses: Addresses,
    /// How many claims there are of names below, which keep this one existing.
    below: usize,
}

/// All names.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    owners: BTreeMap<Arc<str>, Vec<Record>>,
    nodes: HashMap<Box<str>, Node>,
    pointers: HashMap<IpAddr, BTreeMap<Arc<str>, Box<str>>>,
}

impl Tables {
    /// Replaces what an owner has by checked records. False: nothing is different.
    pub(crate) fn set(&mut self, owner: &str, records: Vec<Record>) -> bool {
        if self.owners.get(owner).is_some_and(|before| *before == records) {
            return false;
        }
        self.remove(owner);
        let owner: Arc<str> = owner.into();
        for record in &records {
            self.claim(&owner, record);
        }
        self.owners.insert(owner, records);
        true
    }

    /// Takes away all that an owner has. False: it had nothing.
    pub(crate) fn remove(&mut self, owner: &str) -> bool {
        let Some((owner, records)) = self.owners.remove_entry(owner) else { return false };
        for record in &records {
            self.disclaim(&owner, record);
        }
        true
    }

    /// All records by owner.
    pub(crate) fn records(&self) -> BTreeMap<String, Vec<Record>> {
        self.owners.iter().map(|(owner, records)| (owner.to_string(), records.clone())).collect()
    }

    /// A name in lower case at or below `apex`, by the rules of RFC 4592: a wildcard speaks for
    /// what does not exist below the deepest name that exists.
    pub(crate) fn find(&self, name: &str, apex: &str) -> Found {
        if let Some(node) = self.nodes.get(name) {
            return Found::Name(node.addresses.clone());
        }
        if name == apex {
            return Found::Name(Addresses::default());
        }
        let mut encloser = name;
        while let Some(above) = parent(encloser).filter(|above| is_within(above, apex)) {
            encloser = above;
            if encloser == apex || self.nodes.contains_key(encloser) {
                break;
            }
        }
        match self.nodes.get(format!("*.{encloser}").as_str()) {
            Some(node) => Found::Name(node.addresses.clone()),
            None => Found::Nothing,
        }
    }

    /// The name that an address leads back to: that of the first owner.
    pub(crate) fn pointer(&self, address: IpAddr) -> Option<&str> {
        self.pointers.get(&address)?.values().next().map(AsRef::as_ref)
    }

    fn claim(&mut self, owner: &Arc<str>, record: &Record) {
        let node = self.nodes.entry(record.name().into()).or_default();
        // A name given twice by one owner has the addresses of both.
        node.claims.entry(owner.clone()).or_default().extend_from_slice(record.addresses());
        node.gather();
        let mut above = parent(record.name());
        while let Some(name) = above {
            self.nodes.entry(name.into()).or_default().below += 1;
            above = parent(name);
        }
        if record.leads_back() {
            for address in record.addresses() {
                let names = self.pointers.entry(address.to_canonical()).or_default();
                names.entry(owner.clone()).or_insert_with(|| record.name().into());
            }
        }
    }

    fn disclaim(&mut self, owner: &Arc<str>, record: &Record) {
        self.change(record.name(), |node| {
            node.claims.remove(owner);
            node.gather();
        });
        let mut above = parent(record.name());
        while let Some(name) = above {
            self.change(name, |node| node.below = node.below.saturating_sub(1));
            above = parent(name);
        }
        for address in record.addresses().iter().map(IpAddr::to_canonical) {
            if let Some(names) = self.pointers.get_mut(&address) {
                names.remove(owner);
                if names.is_empty() {
                    self.pointers.remove(&address);
                }
            }
        }
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Node)) {
        if let Some(node) = self.nodes.get_mut(name) {
            change(node);
            if node.claims.is_empty() && node.below == 0 {
                self.nodes.remove(name);
            }
        }
    }
}

impl Node {
    /// Puts the addresses of all owners together, each once.
    fn gather(&mut self) {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for address in self.claims.values().flatten() {
            match address.to_canonical() {
                IpAddr::V4(ip) if !v4.contains(&ip) => v4.push(ip),
                IpAddr::V6(ip) if !v6.contains(&ip) => v6.push(ip),
                _ => {}
            }
        }
        self.addresses = Addresses { v4: v4.into(), v6: v6.into() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, address: &str) -> Record {
        Record::new(name, [address.parse().unwrap()])
    }

    fn v4(tables: &Tables, name: &str) -> Option<Vec<Ipv4Addr>> {
        match tables.find(name, "test") {
            Found::Name(addresses) => Some(addresses.v4.to_vec()),
            Found::Nothing => None,
        }
    }

    #[test]
    fn nothing_is_left_of_a_removed_owner() {
        let mut tables = Tables::default();
        tables.set(
            "a",
            vec![record("x.deep.a.test", "10.0.0.1"), record("x.deep.a.test", "10.0.0.2")],
        );
        tables.set("a", vec![record("y.a.test", "10.0.0.3").with_pointer()]);
        assert_eq!(v4(&tables, "x.deep.a.test"), None);
        assert_eq!(v4(&tables, "a.test"), Some(vec![]));
        assert!(tables.remove("a"));
        assert!(tables.nodes.is_empty() && tables.pointers.is_empty() && tables.owners.is_empty());
        assert!(!tables.remove("a"));
    }

    #[test]
    fn owners_of_one_name_add_up() {
        let mut tables = Tables::default();
        tables.set("b", vec![record("db.test", "10.0.0.2"), record("db.test", "10.0.0.1")]);
        tables.set("a", vec![record("db.test", "10.0.0.1")]);
        let all = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse::<Ipv4Addr>().unwrap());
        assert_eq!(v4(&tables, "db.test"), Some(all.to_vec()));
        tables.remove("b");
        assert_eq!(v4(&tables, "db.test"), Some(all[..1].to_vec()));
    }

    #[test]
    fn a_wildcard_speaks_only_for_what_does_not_exist() {
        let mut tables = Tables::default();
        tables.set("a", vec![record("*.a.test", "10.0.0.9"), record("web.api.a.test", "10.0.0.1")]);
        assert_eq!(v4(&tables, "new.a.test").unwrap().len(), 1);
        assert_eq!(v4(&tables, "far.new.a.test").unwrap().len(), 1);
        assert_eq!(v4(&tables, "api.a.test"), Some(vec![]), "it exists for what is below it");
        assert_eq!(v4(&tables, "db.api.a.test"), None, "api.a.test is nearer than the wildcard");
        assert_eq!(v4(&tables, "b.test"), None);
    }
}
