//! What a reference means in a repository: a branch, a tag, a commit, or the newest tag of a semver range.

use semver::{Version, VersionReq};

use crate::Result;
use crate::git::{Reference, Remote};

/// The commit, and the tag that a range chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub commit: String,
    pub version: Option<String>,
}

/// Resolves a reference; none is the default branch.
pub(crate) fn resolve(remote: &Remote<'_>, wanted: Option<&str>) -> Result<Chosen> {
    let is_hex =
        |text: &str| (7..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    if let Some(commit) = wanted.filter(|w| is_hex(w) && w.len() >= 40) {
        return Ok(Chosen { commit: commit.to_lowercase(), version: None });
    }
    let all = remote.references()?;
    if let Some(chosen) = choose(&all, wanted) {
        return Ok(chosen);
    }
    match wanted.filter(|w| is_hex(w)) {
        Some(short) => Ok(Chosen { commit: remote.whole_commit(short)?, version: None }),
        None => Err(crate::ToolsError::Fetch {
            by_hand: None,
            from: super::without_password(&remote.url),
            why: match wanted {
                None => "it has no commits".into(),
                Some(wanted) => {
                    format!("it has no branch, tag or commit `{wanted}`, and no tag in that range")
                }
            },
        }),
    }
}

/// The same by its references alone.
pub(crate) fn choose(all: &[Reference], wanted: Option<&str>) -> Option<Chosen> {
    let named = |name: &str| all.iter().find(|r| r.name == name).map(|r| r.commit.clone());
    let Some(wanted) = wanted else {
        return Some(Chosen { commit: named("HEAD")?, version: None });
    };
    if let Some(commit) = named(&format!("refs/heads/{wanted}")) {
        return Some(Chosen { commit, version: None });
    }
    for tag in [wanted.to_owned(), format!("v{wanted}")] {
        if let Some(commit) = named(&format!("refs/tags/{tag}")) {
            return Some(Chosen { commit, version: Some(tag) });
        }
    }
    let range = VersionReq::parse(wanted).ok()?;
    let tags = all.iter().filter_map(|r| Some((r.name.strip_prefix("refs/tags/")?, &r.commit)));
    let versions = tags.filter_map(|(tag, commit)| {
        let version = Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()?;
        range.matches(&version).then_some((version, tag, commit))
    });
    let (_, tag, commit) = versions.max_by(|a, b| a.0.cmp(&b.0))?;
    Some(Chosen { commit: commit.clone(), version: Some(tag.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_before_a_tag_before_a_range() {
        let all = [
            "HEAD",
            "refs/heads/main",
            "refs/heads/1.x",
            "refs/tags/v1.2.0",
            "refs/tags/1.10.0",
            "refs/tags/v2.0.0-rc.1",
            "refs/tags/nightly",
        ];
        let all: Vec<_> =
            all.iter().map(|n| Reference { name: (*n).into(), commit: format!("c-{n}") }).collect();
        let commit = |wanted| choose(&all, wanted).map(|c| c.commit);
        assert_eq!(commit(None).as_deref(), Some("c-HEAD"));
        assert_eq!(commit(Some("1.x")).as_deref(), Some("c-refs/heads/1.x"));
        assert_eq!(commit(Some("1.2.0")).as_deref(), Some("c-refs/tags/v1.2.0"));
        assert_eq!(commit(Some("^1.2")).as_deref(), Some("c-refs/tags/1.10.0"));
        assert_eq!(commit(Some("*")).as_deref(), Some("c-refs/tags/1.10.0"));
        assert_eq!(commit(Some("^3")), None);
        assert_eq!(commit(Some("nothing")), None);
    }
}
