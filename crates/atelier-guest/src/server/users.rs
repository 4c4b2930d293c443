//! Users and groups of the sandbox, read from its `/etc/passwd` and `/etc/group`.
//!
//! The C library's lookups are not used: in a static binary they need modules that match the
//! library of an image that is not ours.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use nix::unistd::{Gid, Uid, getegid, geteuid};

/// Who a process runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

impl Credentials {
    /// Makes this process run as them, for good. Called between fork and exec.
    pub(crate) fn assume(&self) -> io::Result<()> {
        // SAFETY: the pointer and the length are those of one slice; gid_t is u32 on Linux.
        if unsafe { libc::setgroups(self.groups.len(), self.groups.as_ptr()) } < 0 {
            return Err(io::Error::last_os_error());
        }
        nix::unistd::setgid(Gid::from_raw(self.gid))?;
        nix::unistd::setuid(Uid::from_raw(self.uid))?;
        Ok(())
    }
}

/// A user of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: PathBuf,
    pub(crate) shell: Option<String>,
}

impl User {
    /// The user of a name, of a number, or of `UID:GID`.
    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::find_in(&read("/etc/passwd"), name)
    }

    /// The user that the guest itself runs as.
    pub(crate) fn own() -> Self {
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        let passwd = read("/etc/passwd");
        let known = entries(&passwd).find(|user| user.uid == uid);
        Self { gid, ..known.unwrap_or_else(|| Self::nameless(uid, gid)) }
    }

    /// Who to become for them; None when the guest is them already.
    pub(crate) fn credentials(&self) -> Option<Credentials> {
        if self.is_own() {
            return None;
        }
        let groups = groups_in(&read("/etc/group"), &self.name, self.gid);
        Some(Credentials { uid: self.uid, gid: self.gid, groups })
    }

    /// Whether the guest runs as them.
    pub(crate) fn is_own(&self) -> bool {
        self.uid == geteuid().as_raw()
    }

    fn find_in(passwd: &str, name: &str) -> Option<Self> {
        if let Some(user) = entries(passwd).find(|user| user.name == name) {
            return Some(user);
        }
        let (uid, gid) = match name.split_once(':') {
            Some((uid, gid)) => (uid.parse().ok()?, Some(gid.parse().ok()?)),
            None => (name.parse().ok()?, None),
        };
        let known = entries(passwd).find(|user| user.uid == uid);
        let mut user = known.unwrap_or_else(|| Self::nameless(uid, uid));
        user.gid = gid.unwrap_or(user.gid);
        Some(user)
    }

    fn nameless(uid: u32, gid: u32) -> Self {
        Self { name: uid.to_string(), uid, gid, home: PathBuf::from("/"), shell: None }
    }
}

/// Names of owners, read once for many entries.
pub(crate) struct Names {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Names {
    pub(crate) fn read() -> Self {
        let (passwd, group) = (read("/etc/passwd"), read("/etc/group"));
        // The first line of an id wins, as in the C library.
        let mut users = HashMap::new();
        for user in entries(&passwd) {
            users.entry(user.uid).or_insert(user.name);
        }
        let mut groups = HashMap::new();
        for line in group.lines() {
            let mut fields = line.split(':');
            let (name, id) = (fields.next(), fields.nth(1).and_then(|id| id.parse::<u32>().ok()));
            if let (Some(name), Some(id)) = (name, id) {
                groups.entry(id).or_insert_with(|| name.to_owned());
            }
        }
        Self { users, groups }
    }

    pub(crate) fn user(&self, uid: u32) -> String {
        self.users.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }

    pub(crate) fn group(&self, gid: u32) -> String {
        self.groups.get(&gid).cloned().unwrap_or_else(|| gid.to_string())
    }
}

fn read(path: &str) -> String {
    std::fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

fn entries(passwd: &str) -> impl Iterator<Item = User> + '_ {
    passwd.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, shell] = fields[..] else { return None };
        Some(User {
            name: name.to_owned(),
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            home: PathBuf::from(if home.is_empty() { "/" } else { home }),
            shell: (!shell.is_empty()).then(|| shell.to_owned()),
        })
    })
}

fn groups_in(group: &str, name: &str, primary: u32) -> Vec<u32> {
    let mut ids = vec![primary];
    for line in group.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, id, members] = fields[..] else { continue };
        let Ok(id) = id.parse() else { continue };
        if members.split(',').any(|member| member == name) && !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        broken line\n\
        user:x:1000:100::/home/user:/bin/sh\n";

    #[test]
    fn a_user_is_found_by_name_by_number_and_by_both_numbers() {
        let by_name = User::find_in(PASSWD, "user").unwrap();
        assert_eq!((by_name.uid, by_name.gid), (1000, 100));
        assert_eq!(User::find_in(PASSWD, "1000").unwrap(), by_name);
        assert_eq!(User::find_in(PASSWD, "1000:7").unwrap().gid, 7);
        assert_eq!(User::find_in(PASSWD, "4242").unwrap().home, PathBuf::from("/"));
        assert_eq!(User::find_in(PASSWD, "nobody-here"), None);
    }

    #[test]
    fn a_user_is_in_their_own_group_and_in_those_that_name_them() {
        let group = "users:x:100:\ndocker:x:7:a,user\nwheel:x:8:root\n";
        assert_eq!(groups_in(group, "user", 100), [100, 7]);
    }
}
