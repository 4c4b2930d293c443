//! How an image is built by an engine's own builder, and which Dockerfiles need another one.

use std::collections::HashMap;
use std::path::PathBuf;

use super::service::Service;
use crate::error::{ComposeError, Result};

/// What an engine's own builder does as well.
const KEYS: [&str; 12] = [
    "context",
    "dockerfile",
    "dockerfile_inline",
    "args",
    "target",
    "labels",
    "no_cache",
    "pull",
    "network",
    "platforms",
    "extra_hosts",
    "shm_size",
];
/// Options of a Dockerfile's instructions that only BuildKit has.
const OPTIONS: [&str; 10] = [
    "--mount",
    "--network",
    "--security",
    "--link",
    "--parents",
    "--exclude",
    "--checksum",
    "--keep-git-dir",
    "--chmod",
    "--device",
];

/// One build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The folder.
    pub context: PathBuf,
    /// The Dockerfile, absolute or below the folder.
    pub dockerfile: PathBuf,
    /// Its text, when it stands in the project's file.
    pub inline: Option<String>,
    /// Its arguments.
    pub args: HashMap<String, String>,
    /// The stage to stop at.
    pub target: Option<String>,
    /// Labels of the image.
    pub labels: HashMap<String, String>,
    /// Whether nothing that was built before is used again.
    pub no_cache: bool,
    /// Whether the images it starts from are asked for anew.
    pub pull: bool,
    /// The network of its commands.
    pub network: Option<String>,
    /// Further hosts of its commands, `name:address`.
    pub hosts: Vec<String>,
    /// Size of `/dev/shm`, in bytes.
    pub shm_size: Option<i64>,
}

pub(super) fn of(service: &Service<'_>) -> Result<Option<Build>> {
    let Some(build) = service.below("build", &KEYS)? else { return Ok(None) };
    let context = build.text("context")?.unwrap_or_default();
    if !context.starts_with('/') {
        return Err(build.refuse("context", "it is no folder"));
    }
    if build.texts("platforms")?.is_some_and(|all| all.len() > 1) {
        return Err(build.refuse("platforms", "more than one needs BuildKit"));
    }
    let given = |(name, value): (String, Option<String>)| {
        let value = value.ok_or_else(|| build.refuse("args", "a name has no value"))?;
        Ok((name, value))
    };
    let args = build.pairs("args")?.unwrap_or_default();
    let hosts = build.pairs("extra_hosts")?.unwrap_or_default();
    Ok(Some(Build {
        context: context.into(),
        dockerfile: build.text("dockerfile")?.unwrap_or("Dockerfile").into(),
        inline: build.owned("dockerfile_inline")?,
        args: args.into_iter().map(given).collect::<Result<_>>()?,
        target: build.owned("target")?,
        labels: build.map("labels")?.unwrap_or_default(),
        no_cache: build.flag("no_cache").unwrap_or(false),
        pull: build.flag("pull").unwrap_or(false),
        network: build.owned("network")?,
        hosts: hosts
            .into_iter()
            .map(|(host, address)| format!("{host}:{}", address.unwrap_or_default()))
            .collect(),
        shm_size: build.get("shm_size").map(|v| build.size("shm_size", v)).transpose()?,
    }))
}

/// Refuses a Dockerfile that says what only BuildKit understands. `service` and the file are for
/// the message.
///
/// # Errors
/// `Unsupported` with the line.
pub fn needs_buildkit(service: &str, file: &std::path::Path, text: &str) -> Result<()> {
    let mut going_on = false;
    for (number, line) in (1_u64..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let first = !std::mem::replace(&mut going_on, line.ends_with('\\'));
        let mut words = line.split_whitespace();
        let instruction = words.next().unwrap_or_default().to_ascii_uppercase();
        if !first || !["RUN", "COPY", "ADD", "FROM"].contains(&instruction.as_str()) {
            continue;
        }
        let option = words.clone().take_while(|w| w.starts_with("--")).find(|w| {
            let name = w.split('=').next().unwrap_or_default();
            OPTIONS.contains(&name)
        });
        let document = words.find(|w| here_document(w)).filter(|_| instruction != "FROM");
        if let Some(word) = option.or(document) {
            return Err(ComposeError::Unsupported {
                file: Some(file.to_owned()),
                line: Some(number),
                key: format!("{instruction} {word}"),
                why: format!(
                    "the service {service} is built by the engine's own builder, and this needs BuildKit"
                ),
                install: true,
            });
        }
    }
    Ok(())
}

/// `<<EOF`, `<<-EOF`, `<<"EOF"`.
fn here_document(word: &str) -> bool {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let Some(rest) = rest.strip_prefix("<<") else { return false };
    let rest = rest.trim_start_matches('-').trim_start_matches(['"', '\'']);
    rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(text: &str) -> Option<String> {
        needs_buildkit("web", "Dockerfile".as_ref(), text).err().map(|e| e.to_string())
    }

    #[test]
    fn what_needs_buildkit_is_named_with_its_line() {
        let said = needs("FROM a\n\nRUN --mount=type=cache,target=/x make\n").unwrap();
        assert!(said.starts_with("Dockerfile:3: `RUN --mount=type=cache,target=/x`"), "{said}");
        assert!(needs("FROM a\nRUN <<EOF\necho\nEOF\n").unwrap().contains(":2:"));
        assert!(needs("FROM a\ncopy --chmod=700 a b\n").is_some());
    }

    #[test]
    fn what_every_builder_knows_is_not() {
        for text in [
            "# syntax=docker/dockerfile:1\nFROM --platform=linux/amd64 a AS b\nCOPY --from=b --chown=1 a b\n",
            "FROM a\nRUN make \\\n  --mount=x\nRUN cat <<< x\nRUN echo $((1<<2))\n",
        ] {
            assert_eq!(needs(text), None, "{text}");
        }
    }
}
