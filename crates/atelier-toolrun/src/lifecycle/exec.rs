//! What is executed for a tool by others: its MCP server for an agent, a script of its for a person. The
//! caller replaces itself with it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use atelier_plugin::{Sandbox, Transport};

use super::environment::{self, Environment, SERVER};
use super::error::{Error, Result};
use super::ready::Ready;
use super::tool::{Manner, Tool};
use crate::secrets::{self, ATK_PLUGIN_DIR, Masker, Purpose, TOOL_DIR};
use crate::{Home, Slug};

/// A program as `execve` takes it.
#[derive(Debug)]
pub struct Exec {
    /// The program, found on `PATH`.
    pub program: PathBuf,
    /// Its arguments, without its own name.
    pub arguments: Vec<OsString>,
    /// All of its environment.
    pub environment: Environment,
    /// Where it runs; the caller's folder when there is nothing.
    pub folder: Option<PathBuf>,
    /// The sandbox that the plugin asks for.
    pub sandbox: Option<Sandbox>,
    /// Knows its secrets, for a caller that shows what it says.
    pub masker: Masker,
}

/// A server that is reached over HTTP.
#[derive(Debug)]
pub struct Remote {
    /// How it is spoken to.
    pub transport: Transport,
    /// Its URL, settings put in.
    pub url: secrets::Secret,
    /// Headers, settings put in.
    pub headers: Vec<(String, secrets::Secret)>,
    /// Whether a setting, perhaps a secret one, is in the URL or in a header: an agent must be given a
    /// bridge, not these.
    pub private: bool,
    /// The longest that one call may take, in milliseconds.
    pub timeout: Option<u64>,
}

/// The MCP server of a tool.
#[derive(Debug)]
pub enum Server {
    /// A program that speaks on its standard input and output.
    Program(Box<Exec>),
    /// One that is reached over HTTP.
    Remote(Remote),
}

/// The MCP server of a tool with its settings.
///
/// # Errors
/// [`Error::Settings`] when required settings are missing, [`Error::NoServer`], [`Error::Program`] when its
/// program is not installed.
pub fn server(home: &Home, slug: &Slug, manner: &Manner<'_>) -> Result<Server> {
    let tool = Tool::load(home, slug)?;
    let none = || Error::NoServer { slug: slug.to_string() };
    let mcp = tool.plugin.mcp.clone().ok_or_else(none)?;
    let around = |name: &str| manner.variable(name);
    let mut variables = secrets::resolve(home, slug, &tool.plugin, Purpose::Server, around)?;
    // As ATK does it, a server gets what `mcp.env` names. Where that names nothing, a wrapper script of the
    // plugin reads what it needs by itself: from ATK's `.env`, and here from its environment.
    if !mcp.env.is_empty() {
        variables.keep_only(&mcp.env);
    }
    variables.check()?;
    let folder = tool.folder.to_string_lossy().into_owned();
    let lookup = |name: &str| match name {
        ATK_PLUGIN_DIR | TOOL_DIR => Some(folder.clone()),
        _ => variables.get(name).map(|text| text.expose().to_owned()),
    };
    let put_in = |text: &str| secrets::substitute(text, lookup);
    if mcp.transport != Transport::Stdio {
        let endpoint = mcp.endpoint.as_deref().ok_or_else(none)?;
        let texts = mcp.headers.values().map(String::as_str).chain([endpoint]);
        let private = texts.flat_map(secrets::references).any(|name| variables.get(name).is_some());
        let header = |(name, text): (&String, &String)| (name.clone(), put_in(text).into());
        return Ok(Server::Remote(Remote {
            transport: mcp.transport,
            url: put_in(endpoint).into(),
            headers: mcp.headers.iter().map(header).collect(),
            private,
            timeout: mcp.timeout,
        }));
    }
    let environment = environment::environment(home, &tool, manner, &variables, SERVER);
    let command = put_in(mcp.command.as_deref().ok_or_else(none)?);
    let program = environment::on_path(&command, &environment);
    let program = program.ok_or_else(|| Error::Program {
        program: command,
        source: std::io::Error::from(std::io::ErrorKind::NotFound),
    })?;
    Ok(Server::Program(Box::new(Exec {
        program,
        arguments: mcp.args.iter().map(|argument| put_in(argument).into()).collect(),
        environment,
        folder: None,
        sandbox: tool.plugin.sandbox.clone(),
        masker: variables.masker(),
    })))
}

/// A script of a tool: `custom/NAME`, `custom/NAME.sh`, then `NAME` and `NAME.sh` of the plugin, run in
/// the plugin's folder with the settings of its service.
///
/// # Errors
/// [`Error::Script`] when there is none, or when the name leads out of the folder.
pub fn script(
    home: &Home,
    slug: &Slug,
    name: &str,
    arguments: &[OsString],
    manner: &Manner<'_>,
) -> Result<Exec> {
    let tool = Tool::load(home, slug)?;
    let missing = || Error::Script {
        slug: slug.to_string(),
        script: name.to_owned(),
        known: scripts(&tool.folder),
    };
    let path = find_script(&tool.folder, name).ok_or_else(missing)?;
    let ready = Ready::new(home, tool, manner)?;
    let shebang = std::fs::read(&path).is_ok_and(|bytes| bytes.starts_with(b"#!"));
    let runs = environment::on_path(&path.to_string_lossy(), &ready.environment).is_some();
    // Files of a registry lose their mode now and then; a script is a script all the same.
    let (program, first) = match runs && shebang || is_elf(&path) {
        true => (path, None),
        false => (interpreter(&path), Some(path.into_os_string())),
    };
    Ok(Exec {
        program,
        arguments: first.into_iter().chain(arguments.iter().cloned()).collect(),
        environment: ready.environment,
        folder: Some(ready.tool.folder),
        sandbox: None,
        masker: ready.masker,
    })
}

pub(crate) fn find_script(folder: &Path, name: &str) -> Option<PathBuf> {
    use std::path::Component;
    let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !inside {
        return None;
    }
    let places = [folder.join("custom"), folder.to_owned()];
    let mut all =
        places.iter().flat_map(|place| [place.join(name), place.join(format!("{name}.sh"))]);
    let root = folder.canonicalize().ok()?;
    // A link may lead out of the folder.
    all.find(|path| path.is_file() && path.canonicalize().is_ok_and(|real| real.starts_with(&root)))
}

fn is_elf(path: &Path) -> bool {
    use std::io::Read;
    let mut magic = [0; 4];
    std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut magic)).is_ok()
        && magic == *b"\x7fELF"
}

/// What the first line names, or a shell.
pub(crate) fn interpreter(path: &Path) -> PathBuf {
    let text = std::fs::read(path).unwrap_or_default();
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line).into_owned();
    let mut words = line.strip_prefix("#!").unwrap_or_default().split_whitespace();
    match words.next() {
        Some("/usr/bin/env") => match words.next() {
            Some(program) => PathBuf::from("/usr/bin").join(program),
            None => "/bin/sh".into(),
        },
        Some(program) => program.into(),
        None => "/bin/sh".into(),
    }
}

/// The names of the scripts that a plugin and its user have.
fn scripts(folder: &Path) -> Vec<String> {
    let places = [folder.to_owned(), folder.join("custom")];
    let entries =
        places.iter().filter_map(|place| std::fs::read_dir(place).ok()).flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(".sh")?.to_owned())).collect();
    names.sort();
    names.dedup();
    names
}
