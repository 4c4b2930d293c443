//! A tool's MCP server in a sandbox of ours: `atelier run`, with the tool's packages and a copy of its
//! files as the project, and its settings alone in its environment.
//!
//! What the server changes there is gone when it ends. It sees no home of Atelier's, and of the network
//! what its plugin names.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use atelier_plugin::{Plugin, Sandbox, Slug};
use atelier_toolrun::lifecycle::Exec;
use atelier_tools::shim;

use super::desk::Desk;
use crate::failure::Failure;

/// Variables that a program may need and that are no secrets.
const USUAL: [&str; 3] = ["ATK_PLUGIN_DIR", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"];

/// The program that runs another one in a sandbox.
pub(super) fn sandboxed(
    desk: &Desk,
    slug: &Slug,
    exec: Exec,
    sandbox: &Sandbox,
) -> Result<Exec, Failure> {
    let project = desk.home.packages(slug);
    let (plugin, copy) = (desk.home.plugin(slug), project.join("plugin"));
    of_its_own(&project)?;
    mirror(desk, slug, &copy)?;
    let moved = |text: &OsStr| elsewhere(text, &plugin, &copy);
    let (program, arguments) = pinned(desk, slug, &exec)?;
    let mut environment = exec.environment;
    for value in environment.values_mut() {
        *value = moved(value);
    }
    let named = Plugin::load(&plugin)?;
    let declared = named.env_vars.iter().map(|variable| variable.name.as_str()).chain(USUAL);
    let passed: Vec<_> =
        declared.filter(|name| environment.contains_key(OsStr::new(name))).collect();
    let mut all = around(slug, &project, sandbox);
    for name in passed {
        all.extend(["-e".into(), name.into()]);
    }
    all.push("--".into());
    // The plugin's own scripts find the pinned packages as well, first on whatever `PATH` there is inside.
    let shims = project.join("shims");
    if shim::write_alone(&desk.home, slug, &project, &shims)? {
        let first = r#"PATH="$0:$PATH"; export PATH; exec "$@""#;
        all.extend(["/bin/sh".into(), "-c".into(), first.into(), shims.into()]);
    }
    all.push(moved(program.as_os_str()));
    all.extend(arguments.iter().map(|argument| moved(argument)));
    // Our own command needs what is ours, which no server gets.
    let ours = std::env::vars_os().filter(|(name, _)| is_ours(name));
    environment.extend(ours);
    Ok(Exec {
        program: desk.program().to_owned(),
        arguments: all,
        environment,
        folder: None,
        ..exec
    })
}

fn is_ours(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"ATELIER_") && name != "ATELIER_TOOL"
}

/// `atelier run` with what the plugin says of its sandbox, up to the variables.
fn around(slug: &Slug, project: &Path, sandbox: &Sandbox) -> Vec<OsString> {
    let name = format!("{slug}-{}", std::process::id());
    let mut all: Vec<OsString> =
        ["run", "--rm", "--new", "--quiet", "--no-up", "--no-tty", "-C"].map(Into::into).to_vec();
    all.push(project.into());
    all.extend(["--name".into(), name.into()]);
    if let Some(runtime) = &sandbox.runtime {
        all.extend(["--runtime".into(), runtime.into()]);
    }
    match sandbox.allow.is_empty() {
        true => all.extend(["--network".into(), "none".into()]),
        false => all.extend(sandbox.allow.iter().flat_map(|host| ["--allow".into(), host.into()])),
    }
    all
}

/// The pinned program behind `npx` and `uvx`: inside, there is no home in which to look it up.
fn pinned(desk: &Desk, slug: &Slug, exec: &Exec) -> Result<(PathBuf, Vec<OsString>), Failure> {
    let name = exec.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let words = exec.arguments.iter().map(|word| word.to_string_lossy().into_owned());
    let argv: Vec<_> = std::iter::once(name).chain(words).collect();
    let instead = shim::of_tool(&desk.home, slug, &argv, true)?;
    let is_named = instead.program.components().count() > 1;
    let program = if is_named { instead.program } else { exec.program.clone() };
    Ok((program, instead.args.into_iter().map(Into::into).collect()))
}

/// A text with the plugin's folder as the copy's.
fn elsewhere(text: &OsStr, plugin: &Path, copy: &Path) -> OsString {
    match (text.to_str(), plugin.to_str(), copy.to_str()) {
        (Some(text), Some(plugin), Some(copy)) => text.replace(plugin, copy).into(),
        _ => text.to_owned(),
    }
}

/// Makes the folder a project: without a repository of its own it would be a part of the home's, and all
/// of that would go into the sandbox.
fn of_its_own(project: &Path) -> Result<(), Failure> {
    let git = project.join(".git");
    let made = ["objects", "refs"].iter().try_for_each(|name| fs::create_dir_all(git.join(name)));
    let made = made.and_then(|()| fs::write(git.join("HEAD"), "ref: refs/heads/main\n"));
    made.map_err(|error| Failure::of_file("written", &git, &error))
}

/// The plugin's files as the lock has them, beside its packages.
fn mirror(desk: &Desk, slug: &Slug, copy: &Path) -> Result<(), Failure> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| Failure::of_file("written", &path, &error)
    };
    let _ = fs::remove_dir_all(copy);
    let plugin = desk.home.plugin(slug);
    for file in atelier_tools::verbs::files(&desk.home, slug)? {
        let (from, to) = (plugin.join(&file), copy.join(&file));
        let folder = to.parent().unwrap_or(copy);
        fs::create_dir_all(folder).map_err(failed(folder))?;
        fs::copy(&from, &to).map_err(failed(&to))?;
    }
    Ok(())
}
