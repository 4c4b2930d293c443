//! Tools that start when the user logs in or the machine boots: a unit of the user's systemd where there is
//! one, else a line of the user's crontab, else an entry for the desktop's start.

use std::fs;
use std::path::{Path, PathBuf};

use atelier_files::whole;
use schemars::JsonSchema;
use serde::Serialize;

use super::environment::outside;
use super::error::{Error, Result};
use super::spawn;
use super::tool::{Kind, Manner, Tool};
use crate::{Home, OfFile as _, Slug};

/// How a tool is registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Registered {
    /// What starts it.
    pub by: Starter,
    /// The file that says so; nothing for a crontab.
    pub file: Option<PathBuf>,
    /// What the user should know, a sentence each.
    pub notes: Vec<String>,
}

/// What starts a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Starter {
    /// The user's systemd.
    Systemd,
    /// cron, at the boot.
    Crontab,
    /// The desktop, when it starts.
    Autostart,
}

/// Which one this machine has.
#[must_use]
pub fn starter(manner: &Manner<'_>) -> Starter {
    let environment = outside(manner);
    if Path::new("/run/systemd/system").exists() {
        Starter::Systemd
    } else if super::environment::on_path("crontab", &environment).is_some() {
        Starter::Crontab
    } else {
        Starter::Autostart
    }
}

/// Registers a tool to start at login. Doing it again changes nothing.
///
/// # Errors
/// [`Error::Login`] when the tool has no service or there is no home folder, [`Error::File`].
pub fn register(home: &Home, slug: &Slug, manner: &Manner<'_>) -> Result<Registered> {
    register_by(home, slug, starter(manner), manner)
}

/// The same by a starter of the caller's choice.
///
/// # Errors
/// As [`register`].
pub fn register_by(
    home: &Home,
    slug: &Slug,
    by: Starter,
    manner: &Manner<'_>,
) -> Result<Registered> {
    let tool = Tool::load(home, slug)?;
    let refuse = |why: &str| Error::Login { slug: slug.to_string(), why: why.to_owned() };
    if tool.kind() == Kind::None {
        return Err(refuse("it has no service; agents start its MCP server"));
    }
    let above = home.root().parent().unwrap_or(home.root());
    let texts = [above.to_string_lossy(), manner.program.to_string_lossy()];
    if texts.iter().any(|text| text.contains(['\n', '"', '\\', '%', '$', '\''])) {
        return Err(refuse(
            "the path of the home or of the program has characters that units cannot hold",
        ));
    }
    match by {
        Starter::Systemd => systemd(&tool, above, manner),
        Starter::Crontab => crontab(&tool, above, manner),
        Starter::Autostart => autostart(&tool, above, manner),
    }
}

/// Takes a tool off again; whether it was registered.
///
/// # Errors
/// [`Error::File`], [`Error::Login`].
pub fn unregister(slug: &Slug, manner: &Manner<'_>) -> Result<bool> {
    let mut was = false;
    let control = || spawn::ask("systemctl", &["--user", "daemon-reload"], &outside(manner));
    for path in files(slug, manner) {
        match fs::symlink_metadata(&path) {
            Ok(_) => fs::remove_file(&path).map_err(Error::file("removed", &path))?,
            Err(_) => continue,
        }
        was = true;
    }
    if was {
        control();
    }
    Ok(crontab_without(slug, manner)? || was)
}

/// Whether a tool is registered. Of a crontab only what we noted is known.
pub(crate) fn is_registered(slug: &Slug, manner: &Manner<'_>) -> bool {
    files(slug, manner).iter().any(|path| fs::symlink_metadata(path).is_ok())
}

fn config(manner: &Manner<'_>) -> Option<PathBuf> {
    let given = manner.variable("XDG_CONFIG_HOME").filter(|path| path.starts_with('/'));
    given.map(PathBuf::from).or_else(|| Some(Path::new(&manner.variable("HOME")?).join(".config")))
}

fn unit(slug: &Slug) -> String {
    format!("atelier-tool-{slug}.service")
}

/// The unit, its link that enables it, the desktop's entry, the mark of a line in the crontab.
fn files(slug: &Slug, manner: &Manner<'_>) -> Vec<PathBuf> {
    let Some(config) = config(manner) else { return Vec::new() };
    let user = config.join("systemd/user");
    vec![
        user.join("default.target.wants").join(unit(slug)),
        user.join(unit(slug)),
        config.join("autostart").join(format!("atelier-tool-{slug}.desktop")),
        config.join("atelier").join(format!("crontab-{slug}")),
    ]
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let put = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        whole::replace(path, text.as_bytes(), whole::PRIVATE)
    };
    put().map_err(Error::file("written", path))
}

fn home_missing(tool: &Tool) -> Error {
    Error::Login { slug: tool.slug.to_string(), why: "HOME is not set".to_owned() }
}

fn systemd(tool: &Tool, above: &Path, manner: &Manner<'_>) -> Result<Registered> {
    let slug = &tool.slug;
    let (program, above) = (manner.program.display(), above.display());
    let text = format!(
        "# Made by `atelier tool start {slug} --at-login`; `atelier tool stop {slug} --at-login` removes it.\n\
         [Unit]\nDescription=Atelier tool {slug}\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\n\
         Environment=\"ATELIER_HOME={above}\"\n\
         ExecStart=\"{program}\" tool start {slug}\n\
         ExecStop=\"{program}\" tool stop {slug}\n\
         TimeoutStartSec=15min\n\n\
         [Install]\nWantedBy=default.target\n"
    );
    let all = files(slug, manner);
    let [link, file, ..] = all.as_slice() else { return Err(home_missing(tool)) };
    write(file, &text)?;
    if fs::symlink_metadata(link).is_err() {
        let folder = link.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder).map_err(Error::file("made", folder))?;
        std::os::unix::fs::symlink(file, link).map_err(Error::file("linked", link))?;
    }
    let environment = outside(manner);
    let mut notes = Vec::new();
    if spawn::ask("systemctl", &["--user", "daemon-reload"], &environment).is_none() {
        notes.push(
            "the user's systemd does not answer now; it reads the unit at the next login".into(),
        );
    }
    let linger = manner
        .variable("USER")
        .is_some_and(|user| Path::new("/var/lib/systemd/linger").join(user).exists());
    if !linger {
        notes.push("it starts when you log in; at boot only after `loginctl enable-linger`".into());
    }
    Ok(Registered { by: Starter::Systemd, file: Some(file.clone()), notes })
}

fn autostart(tool: &Tool, above: &Path, manner: &Manner<'_>) -> Result<Registered> {
    let slug = &tool.slug;
    let (program, above) = (manner.program.display(), above.display());
    let text = format!(
        "[Desktop Entry]\nType=Application\nVersion=1.0\nName=Atelier tool {slug}\nNoDisplay=true\n\
         Exec=env \"ATELIER_HOME={above}\" \"{program}\" tool start {slug}\nTerminal=false\n"
    );
    let all = files(slug, manner);
    let [_, _, file, ..] = all.as_slice() else { return Err(home_missing(tool)) };
    write(file, &text)?;
    let note = "this machine has neither systemd nor cron: it starts with a graphical desktop only";
    let notes = vec![note.to_owned()];
    Ok(Registered { by: Starter::Autostart, file: Some(file.clone()), notes })
}

/// What ends our lines in a crontab.
fn mark(slug: &Slug) -> String {
    format!("# atelier tool {slug}")
}

fn crontab(tool: &Tool, above: &Path, manner: &Manner<'_>) -> Result<Registered> {
    let slug = &tool.slug;
    let environment = outside(manner);
    let old = spawn::ask("crontab", &["-l"], &environment).unwrap_or_default();
    let kept = old.lines().filter(|line| !line.ends_with(&mark(slug)));
    let mut text: String = kept.map(|line| format!("{line}\n")).collect();
    let path = manner.variable("PATH").unwrap_or_default();
    text += &format!(
        "@reboot env 'PATH={path}' 'ATELIER_HOME={}' '{}' tool start {slug} {}\n",
        above.display(),
        manner.program.display(),
        mark(slug)
    );
    install_crontab(slug, &text, manner)?;
    if let Some(noted) = files(slug, manner).get(3) {
        write(noted, "registered in the crontab\n")?;
    }
    Ok(Registered {
        by: Starter::Crontab,
        file: None,
        notes: vec!["cron starts it at boot".into()],
    })
}

fn install_crontab(slug: &Slug, text: &str, manner: &Manner<'_>) -> Result<()> {
    let why = match spawn::give("crontab", &["-"], &outside(manner), text) {
        Ok(true) => return Ok(()),
        Ok(false) => "crontab refuses it".to_owned(),
        Err(error) => format!("crontab: {error}"),
    };
    Err(Error::Login { slug: slug.to_string(), why })
}

/// Takes our line out; whether there was one.
fn crontab_without(slug: &Slug, manner: &Manner<'_>) -> Result<bool> {
    let environment = outside(manner);
    if super::environment::on_path("crontab", &environment).is_none() {
        return Ok(false);
    }
    let old = spawn::ask("crontab", &["-l"], &environment).unwrap_or_default();
    if !old.lines().any(|line| line.ends_with(&mark(slug))) {
        return Ok(false);
    }
    let kept = old.lines().filter(|line| !line.ends_with(&mark(slug)));
    let text: String = kept.map(|line| format!("{line}\n")).collect();
    install_crontab(slug, &text, manner)?;
    Ok(true)
}
