//! The commit that a work tree is on, read from its files without running git, because this
//! happens at every creation of an environment.

use std::path::Path;

use crate::files::view::{Merged, Node};
use crate::project::{GitInfo, Project};

/// The longest file that is read here, in bytes: a `packed-refs` with a million branches.
const LIMIT: u64 = 64 << 20;

/// The commit that a snapshot was on; `None` without git, without commits, or when the repository
/// keeps its branches in a way that we do not read.
pub(crate) fn of_layers(layers: &[impl AsRef<Path>], project: &Project) -> Option<String> {
    let layers: Vec<&Path> = layers.iter().map(AsRef::as_ref).collect();
    let root = Merged::of(&layers).ok()?;
    match root.child(b".git").ok()? {
        Some(Node::Dir(git)) => of_dir(&git),
        _ => of_git(project.git.as_ref()?),
    }
}

/// The same for a `.git` folder of a merged tree.
pub(crate) fn of_dir(git: &Merged) -> Option<String> {
    resolve(&|name| git.read_below(name, LIMIT), &|name| git.read_below(name, LIMIT))
}

/// The same for a repository outside the work tree.
fn of_git(git: &GitInfo) -> Option<String> {
    resolve(&|name| std::fs::read(git.git_dir.join(name)).ok(), &|name| {
        std::fs::read(git.common_dir.join(name)).ok()
    })
}

/// The branches of the repository in a stack of layers, by name, with their commits.
pub(crate) fn branches(layers: &[impl AsRef<Path>]) -> crate::error::Result<Vec<(String, String)>> {
    let layers: Vec<&Path> = layers.iter().map(AsRef::as_ref).collect();
    let root = Merged::of(&layers)?;
    let Ok(Some(Node::Dir(git))) = root.child(b".git") else { return Ok(Vec::new()) };
    let mut found = std::collections::BTreeMap::new();
    for line in git.read_below("packed-refs", LIMIT).unwrap_or_default().split(|b| *b == b'\n') {
        let line = String::from_utf8_lossy(line);
        if let Some((id, name)) = line.split_once(' ')
            && let Some(name) = name.strip_prefix(HEADS)
            && is_id(id)
        {
            found.insert(name.to_owned(), id.to_owned());
        }
    }
    if let Ok(Some(Node::Dir(heads))) = git.find(b"refs/heads") {
        loose(&heads, "", &mut found);
    }
    Ok(found.into_iter().collect())
}

/// Where branches are.
const HEADS: &str = "refs/heads/";
/// The longest file of one branch, in bytes.
const REF_LIMIT: u64 = 4096;

fn loose(dir: &Merged, above: &str, found: &mut std::collections::BTreeMap<String, String>) {
    for name in dir.names().unwrap_or_default().into_keys() {
        let whole = format!("{above}{}", name.to_string_lossy());
        match dir.child(name.to_bytes()) {
            // Somebody else wrote these: no deeper than names of branches are.
            Ok(Some(Node::Dir(below))) if whole.len() < 1024 => {
                loose(&below, &format!("{whole}/"), found);
            }
            Ok(Some(Node::Leaf(_))) => {
                let text = dir.read_small(name.to_bytes(), REF_LIMIT).unwrap_or_default();
                let id = String::from_utf8_lossy(&text).trim_end().to_owned();
                if is_id(&id) {
                    found.insert(whole, id);
                }
            }
            _ => {}
        }
    }
}

type Read<'a> = &'a dyn Fn(&str) -> Option<Vec<u8>>;

fn resolve(own: Read<'_>, common: Read<'_>) -> Option<String> {
    let mut text = own("HEAD")?;
    // A branch may be a symbolic ref itself; git follows five.
    for _ in 0..5 {
        let line = std::str::from_utf8(&text).ok()?.trim_end().to_owned();
        let Some(name) = line.strip_prefix("ref:").map(str::trim) else {
            return is_id(&line).then_some(line);
        };
        text = match own(name).or_else(|| common(name)) {
            Some(text) => text,
            None => return packed(&common("packed-refs")?, name),
        };
    }
    None
}

fn packed(refs: &[u8], name: &str) -> Option<String> {
    let mut lines = refs.split(|b| *b == b'\n').filter_map(|l| std::str::from_utf8(l).ok());
    lines.find_map(|line| {
        let (id, found) = line.split_once(' ')?;
        (found == name && is_id(id)).then(|| id.to_owned())
    })
}

/// Whether a text is an object's name (SHA-1 or SHA-256, in hexadecimal).
pub(crate) fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loose_packed_and_detached_heads_are_found() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let read = |files: &'static [(&'static str, &'static str)]| {
            move |name: &str| {
                files.iter().find(|(n, _)| *n == name).map(|(_, t)| t.as_bytes().to_vec())
            }
        };
        let cases: [&'static [(&str, &str)]; 3] = [
            &[
                ("HEAD", "ref: refs/heads/main\n"),
                ("refs/heads/main", "0123456789abcdef0123456789abcdef01234567\n"),
            ],
            &[
                ("HEAD", "ref: refs/heads/main\n"),
                (
                    "packed-refs",
                    "# pack-refs with: peeled\n0123456789abcdef0123456789abcdef01234567 refs/heads/main\n",
                ),
            ],
            &[("HEAD", "0123456789abcdef0123456789abcdef01234567\n")],
        ];
        for files in cases {
            assert_eq!(resolve(&read(files), &read(files)).as_deref(), Some(id));
        }
        let unborn: &'static [(&str, &str)] = &[("HEAD", "ref: refs/heads/main\n")];
        assert_eq!(resolve(&read(unborn), &read(unborn)), None);
    }
}
