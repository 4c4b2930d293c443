//! `tool init`: a home in an empty place, or in the clone of one from another machine.

use std::io::ErrorKind;

use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::git::Git;
use crate::home::{Lock, Manifest, PUBLIC_REGISTRY, files, hold};
use crate::{Home, Result, ToolsError};

/// What `init` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Initialised {
    /// The home.
    pub path: String,
    /// It was one already: a clone, or this very one.
    pub existing: bool,
    /// How many tools its lock has.
    pub tools: usize,
    /// The first commit, when one was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

const IGNORED: &str = "\
plugins/*/*
!plugins/*/custom/
*.env
.env.*
.local/
";

/// Makes a home, or takes up a cloned one. `registry` is asked for names instead of the public one.
///
/// # Errors
/// [`ToolsError::NotAHome`] when something else is there.
pub fn init(home: &Home, registry: Option<&str>, context: &Context<'_>) -> Result<Initialised> {
    let root = home.root();
    let found = entries(home)?;
    let existing = home.manifest_file().exists();
    let refuse = |why: String| ToolsError::NotAHome { path: root.to_owned(), why };
    if !existing
        && found.iter().any(|name| ![".git", ".local", ".gitignore"].contains(&name.as_str()))
    {
        return Err(refuse(format!("it holds {}", found.join(", "))));
    }
    files::folder(root)?;
    let _held = hold(home, "tool init", context)?;
    let git = Git::of(home, context);
    if !git.is_repository() {
        if existing {
            return Err(refuse("it has a tools.yaml and is no git repository of its own".into()));
        }
        git.init()?;
    }
    git.keep_bytes()?;
    if existing {
        Manifest::read(home)?;
    }
    let mut made = Vec::new();
    for (path, text) in [
        (".gitignore", IGNORED.to_owned()),
        ("tools.lock.json", String::from_utf8_lossy(&Lock::default().bytes()).into_owned()),
        // The last one: with it, it is a home.
        ("tools.yaml", Manifest::template(registry.unwrap_or(PUBLIC_REGISTRY))?.text().to_owned()),
    ] {
        if !root.join(path).exists() {
            files::replace(&root.join(path), text.as_bytes(), 0o600)?;
        }
        made.push(path.to_owned());
    }
    let commit = match git.beside()?.branch.as_str() {
        "(detached)" => None,
        _ => git.commit("tool init", &made)?,
    };
    let tools = Lock::read(home)?.tools.len();
    Ok(Initialised { path: root.display().to_string(), existing, tools, commit })
}

/// Makes the home the clone of another machine's. What its lock names is installed by `tool install`.
///
/// # Errors
/// [`ToolsError::NotAHome`] when something is there already, or when the repository is no home;
/// [`ToolsError::Git`].
pub fn clone(home: &Home, url: &str, context: &Context<'_>) -> Result<Initialised> {
    let refuse = |why: String| ToolsError::NotAHome { path: home.root().to_owned(), why };
    let found = entries(home)?;
    if !found.is_empty() {
        return Err(refuse(format!("it holds {}", found.join(", "))));
    }
    let above = home.root().parent().ok_or_else(|| refuse("it has no folder above it".into()))?;
    files::folder(above)?;
    let scratch = tempfile::Builder::new().prefix(".tools-").tempdir_in(above);
    let scratch = scratch.map_err(ToolsError::file("made", above))?;
    context.at("fetching", url)?;
    let fresh = scratch.path().join("tools");
    Git::clone(url, scratch.path(), "tools", context)?;
    if !fresh.join("tools.yaml").is_file() {
        return Err(refuse(format!("{url} is no home of tools: it has no tools.yaml")));
    }
    // Only a whole clone gets the name.
    let _ = std::fs::remove_dir(home.root());
    std::fs::rename(&fresh, home.root()).map_err(ToolsError::file("made", home.root()))?;
    init(home, None, context)
}

fn entries(home: &Home) -> Result<Vec<String>> {
    match std::fs::read_dir(home.root()) {
        Ok(all) => {
            let mut names: Vec<_> =
                all.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            Ok(names)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(ToolsError::file("read", home.root())(error)),
    }
}
