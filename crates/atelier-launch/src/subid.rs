//! Subordinate ids: what `/etc/subuid` and `/etc/subgid` lend an ordinary user, mapped by the
//! set-user-id programs `newuidmap` and `newgidmap` (shadow's, Debian's package `uidmap`).

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, execv, getegid, geteuid};

use crate::error::{At as _, LaunchError, Result};
use crate::launch::in_child;
use crate::users::COUNT;

/// Where distributions install the programs.
const PLACES: [&str; 4] = ["/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin"];

/// What a user may map, and with what.
pub struct Lent {
    programs: [PathBuf; 2],
    /// First id and count, for users and for groups.
    ranges: [(u32, u32); 2],
}

impl Lent {
    /// Finds it, or says in words why there is none.
    pub fn find() -> std::result::Result<Self, String> {
        let programs = [find("newuidmap")?, find("newgidmap")?];
        let uid = geteuid().as_raw();
        let name = user_name(uid);
        let range = |file| range(file, uid, name.as_deref());
        Ok(Self { programs, ranges: [range("/etc/subuid")?, range("/etc/subgid")?] })
    }

    /// Maps root inside to this user, and the ids from 1 to the user's subordinate ones, for the
    /// process `holder` in its new user namespace.
    pub fn map(&self, holder: Pid) -> Result<()> {
        let own = [geteuid().as_raw(), getegid().as_raw()];
        // Both at once: each is a program to load.
        let started = [0, 1].map(|at| {
            let (first, count) = self.ranges[at];
            let numbers = [0, own[at], 1, 1, first, count.min(COUNT - 1)];
            start(&self.programs[at], holder, &numbers)
        });
        for (program, pid) in self.programs.iter().zip(started) {
            let ended = pid.and_then(|pid| waitpid(pid, None)).step("map ids")?;
            if !matches!(ended, WaitStatus::Exited(_, 0)) {
                let why = format!("{} refused: see the sandbox's log", program.display());
                return Err(LaunchError::new("map ids", why));
            }
        }
        Ok(())
    }
}

fn find(program: &str) -> std::result::Result<PathBuf, String> {
    let mut paths = PLACES.iter().map(|place| Path::new(place).join(program));
    paths.find(|path| path.exists()).ok_or_else(|| {
        format!("{program} is missing; it comes with Debian's and Ubuntu's package uidmap")
    })
}

fn start(program: &Path, holder: Pid, numbers: &[u32]) -> nix::Result<Pid> {
    let mut words = vec![program.as_os_str().as_bytes().to_owned(), holder.to_string().into()];
    words.extend(numbers.iter().map(|number| number.to_string().into_bytes()));
    let words: Vec<_> = words.into_iter().filter_map(|word| CString::new(word).ok()).collect();
    in_child(|| {
        // What it prints must not get between the launcher and who reads its report.
        let _ = nix::unistd::dup2_stdout(std::io::stderr());
        let _ = words.first().map(|program| execv(program, &words));
        // SAFETY: ends the child, which has nothing to run.
        unsafe { libc::_exit(127) }
    })
}

/// The user's name by `/etc/passwd`: no C library's plug-ins are asked.
fn user_name(uid: u32) -> Option<String> {
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = text.lines().find(|line| line.split(':').nth(2) == Some(&uid.to_string()))?;
    line.split(':').next().map(str::to_owned)
}

fn range(file: &str, uid: u32, name: Option<&str>) -> std::result::Result<(u32, u32), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    largest(&text, uid, name).ok_or_else(|| {
        format!(
            "{file} has no ids for this user; `sudo usermod --add-subuids 100000-165535 \
             --add-subgids 100000-165535 {}` adds some",
            name.map_or_else(|| uid.to_string(), str::to_owned)
        )
    })
}

/// The largest range of a user: lines are `NAME-OR-UID:FIRST:COUNT` (subuid(5)).
fn largest(text: &str, uid: u32, name: Option<&str>) -> Option<(u32, u32)> {
    let number = uid.to_string();
    let parse = |line: &str| {
        let mut fields = line.trim().split(':');
        let who = fields.next()?;
        let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (who == number || Some(who) == name).then_some((first, count))
    };
    text.lines().filter_map(parse).filter(|range| range.1 > 0).max_by_key(|range| range.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_largest_range_is_taken_by_name_or_number() {
        let text = "other:100000:65536\nana:165536:10\n1000:300000:65536\nbroken:x\nana:5:0\n";
        assert_eq!(largest(text, 1000, Some("ana")), Some((300_000, 65_536)));
        assert_eq!(largest(text, 1001, Some("ana")), Some((165_536, 10)));
        assert_eq!(largest(text, 1002, None), None);
    }
}
