//! What was typed after `add`: `NAME[@REF]`, `GIT-URL[@REF][#SUBDIR]`, `PATH`, `mcp:NAME[@VERSION]`.

use std::path::Path;

use crate::home::{Kind, RegistryKind, Source, Wanted};
use crate::{Result, Slug, ToolsError};

/// The official registry of MCP servers.
pub const MCP_REGISTRY: &str = "https://registry.modelcontextprotocol.io";

/// What a text means in a home; `folder` is where relative paths begin.
pub(crate) fn parse(text: &str, wanted: &Wanted, folder: &Path) -> Result<Source> {
    if let Some(rest) = text.strip_prefix("mcp:") {
        return Ok(mcp(rest));
    }
    if let Some(path) = path(text, folder) {
        let path = path.to_string_lossy().into_owned();
        let kind = if path.ends_with(".json") { Kind::McpRegistry } else { Kind::Path };
        return Ok(Source { kind, path: Some(path), ..Source::default() });
    }
    if text.starts_with(['-', '/', '.']) || text.chars().any(char::is_control) {
        let (what, name) = ("folder", text.to_owned());
        return Err(ToolsError::Missing { what, name, known: Vec::new() });
    }
    match url(text) {
        Some(source) => source,
        None => named(text, wanted),
    }
}

/// A path, when it begins like one or something is there.
fn path(text: &str, folder: &Path) -> Option<std::path::PathBuf> {
    let typed = match text.strip_prefix("~/") {
        Some(rest) => std::path::PathBuf::from(std::env::var_os("HOME")?).join(rest),
        None => folder.join(text),
    };
    let begins = ["./", "../", "~/", "/"].iter().any(|start| text.starts_with(start));
    let is_name = text.parse::<Slug>().is_ok();
    let there = typed.exists() && (begins || !is_name || typed.join("plugin.yaml").exists());
    (there || text == "." || text == "..").then(|| typed.canonicalize().unwrap_or(typed))
}

fn mcp(text: &str) -> Source {
    let (name, version) = match text.rsplit_once('@') {
        Some((name, version)) if !version.is_empty() => (name, Some(version.to_owned())),
        _ => (text, None),
    };
    let (url, name) = match name.rsplit_once('#') {
        Some((url, name)) => (url, name),
        None => (MCP_REGISTRY, name),
    };
    Source {
        kind: Kind::McpRegistry,
        url: Some(url.to_owned()),
        name: Some(name.to_owned()),
        version,
        ..Source::default()
    }
}

/// A git repository: with a scheme, in scp's form, or a host with a dot.
fn url(text: &str) -> Option<Result<Source>> {
    let (address, subdir) = match text.split_once('#') {
        Some((address, subdir)) => (address, Some(subdir)),
        None => (text, None),
    };
    let scheme = ["https://", "http://", "ssh://", "git://", "file://"];
    let scheme = scheme.iter().find(|s| address.starts_with(**s)).map(|s| s.len());
    let scp = address.split_once(':').filter(|(host, rest)| {
        !host.contains('/') && host.contains('@') && !rest.starts_with("//")
    });
    let start = match (scheme, scp) {
        (Some(len), _) => len + address[len..].find('/')?,
        (None, Some((host, _))) => host.len() + 1,
        (None, None) => {
            let (host, _) = address.split_once('/')?;
            if !host.contains('.') || host.contains('@') {
                return None;
            }
            host.len()
        }
    };
    let (path, reference) = match address[start..].rsplit_once('@') {
        Some((path, reference)) => (&address[..start + path.len()], Some(reference)),
        None => (address, None),
    };
    let plain = scheme.is_none() && scp.is_none();
    let url = if plain { format!("https://{path}") } else { path.to_owned() };
    Some(git(url, reference, subdir))
}

fn git(url: String, reference: Option<&str>, subdir: Option<&str>) -> Result<Source> {
    let subdir = subdir.map(|s| s.trim_matches('/')).filter(|s| !s.is_empty());
    if let Some(subdir) = subdir {
        super::tree::checked_path(subdir)
            .map_err(|why| ToolsError::Usage(format!("`#{subdir}` is no folder: {why}")))?;
    }
    let reference = reference.filter(|r| !r.is_empty());
    if reference.is_some_and(|r| r.starts_with('-')) {
        return Err(ToolsError::Usage("a reference does not begin with `-`".into()));
    }
    no_password(&url)?;
    Ok(Source {
        kind: Kind::Git,
        url: Some(url),
        reference: reference.map(str::to_owned),
        subdir: subdir.map(str::to_owned),
        ..Source::default()
    })
}

/// An address without a password: it would stand in `tools.yaml`, and in all of its history.
pub(crate) fn no_password(url: &str) -> Result<()> {
    match super::without_password(url) == url {
        true => Ok(()),
        false => Err(ToolsError::Other {
            code: "tool.password",
            exit: atelier_api::ExitCode::Usage,
            message: "the address has a password in it, which would stand in tools.yaml for all who have the home".into(),
            hints: vec![
                "give it to git's credential helper (git help credentials), and leave it out here".into(),
            ],
        }),
    }
}

/// A name of a registry: `notion`, `notion@1a2b3c4`, `team/notion`.
fn named(text: &str, wanted: &Wanted) -> Result<Source> {
    let (name, reference) = match text.split_once('@') {
        Some((name, reference)) => (name, Some(reference.to_owned())),
        None => (text, None),
    };
    let (registry, name) = match name.split_once('/') {
        Some((registry, name)) => (Some(registry.to_owned()), name),
        None => (None, name),
    };
    if let Some(found) = wanted.registries.iter().find(|r| registry.as_ref() == Some(&r.name))
        && found.kind == RegistryKind::Mcp
    {
        let (url, name, version) = (Some(found.url.clone()), Some(name.to_owned()), reference);
        return Ok(Source { kind: Kind::McpRegistry, url, name, version, ..Source::default() });
    }
    let name: Slug = name.parse()?;
    if let Some(registry) = &registry
        && !wanted.registries.iter().any(|r| r.name == *registry)
    {
        return Err(missing(registry, wanted));
    }
    Ok(Source {
        kind: Kind::Registry,
        registry,
        name: Some(name.to_string()),
        reference,
        ..Source::default()
    })
}

/// There is no registry of that name.
pub(crate) fn missing(registry: &str, wanted: &Wanted) -> ToolsError {
    let known = wanted.registries.iter().map(|r| r.name.clone()).collect();
    ToolsError::Missing { what: "registry", name: registry.to_owned(), known }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Source> {
        let of = |name: &str, kind| crate::home::Registry {
            name: name.into(),
            kind,
            url: "u".into(),
            ..crate::home::Registry::default()
        };
        let registries = vec![of("team", RegistryKind::Git), of("servers", RegistryKind::Mcp)];
        let wanted = Wanted { registries, ..Wanted::default() };
        parse(text, &wanted, Path::new("/nonexistent"))
    }

    #[test]
    fn addresses_of_repositories_with_reference_and_folder() {
        for (text, url, reference, subdir) in [
            ("https://h/o/r", "https://h/o/r", None, None),
            ("https://u@h/o/r.git@v1.2#a/b", "https://u@h/o/r.git", Some("v1.2"), Some("a/b")),
            ("git@h:o/r.git@^1.2", "git@h:o/r.git", Some("^1.2"), None),
            ("git@h:o/r.git", "git@h:o/r.git", None, None),
            (
                "github.com/o/r@feature/x#/t/",
                "https://github.com/o/r",
                Some("feature/x"),
                Some("t"),
            ),
            ("file:///srv/r@main", "file:///srv/r", Some("main"), None),
            ("ssh://git@h:22/r#x", "ssh://git@h:22/r", None, Some("x")),
        ] {
            let source = read(text).unwrap();
            assert_eq!(source.kind, Kind::Git, "{text}");
            assert_eq!(source.url.as_deref(), Some(url), "{text}");
            assert_eq!(source.reference.as_deref(), reference, "{text}");
            assert_eq!(source.subdir.as_deref(), subdir, "{text}");
        }
    }

    #[test]
    fn names_of_registries_and_of_the_mcp_registry() {
        let source = read("team/notion@1a2b").unwrap();
        assert_eq!(
            (source.registry.as_deref(), source.reference.as_deref()),
            (Some("team"), Some("1a2b"))
        );
        let source = read("mcp:io.github.o/r@1.0.0").unwrap();
        assert_eq!(
            (source.name.as_deref(), source.version.as_deref()),
            (Some("io.github.o/r"), Some("1.0.0"))
        );
        let source = read("servers/io.github.o/r@1.0.0").unwrap();
        assert_eq!((source.kind, source.url.as_deref()), (Kind::McpRegistry, Some("u")));
        assert_eq!(source.name.as_deref(), Some("io.github.o/r"));
        assert!(matches!(read("other/notion"), Err(ToolsError::Missing { .. })));
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for bad in [
            "../x",
            "/etc/nothing-here",
            "https://h/o/r#../x",
            "https://h/o/r#a/.git",
            "-x",
            "No Name",
            "https://h/o/r@--upload-pack=x",
            "https://u:p@h/o/r",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
