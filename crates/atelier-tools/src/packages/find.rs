//! What a plugin runs: by its own word (`packages:`), in its MCP command, in its lifecycle, and by reading its
//! scripts and Compose files.

use std::path::Path;

use atelier_plugin::{Package, Plugin};

use super::words::commands;
use crate::home::{PackageKind, Unpinned};
use crate::source::Tree;

/// A package that a plugin runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    pub kind: PackageKind,
    pub name: String,
    /// What it asks for: `1.2.3`, `^1`, nothing for the newest; an image's tag or digest.
    pub wants: Option<String>,
}

/// What was found, and what can't be pinned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    pub found: Vec<Found>,
    pub unpinned: Vec<Unpinned>,
}

/// Everything that a plugin runs.
pub(crate) fn find(plugin: &Plugin, tree: &Tree) -> Wants {
    let mut wants = Wants::default();
    for package in &plugin.packages {
        wants.add(match package {
            Package::Npm(text) => npm(text),
            Package::Pypi(text) => pypi(text),
            Package::Oci(text) => oci(text),
        });
    }
    if let Some(mcp) = &plugin.mcp {
        let mut argv: Vec<String> = mcp.command.iter().cloned().collect();
        argv.extend(mcp.args.iter().cloned());
        wants.command(&argv, "mcp");
    }
    if let Some(service) = &plugin.service {
        if let Some(image) = &service.image {
            wants.add(oci(image));
        }
        wants.command(&service.command, "service");
    }
    let life = &plugin.lifecycle;
    for (hook, line) in [
        ("install", &life.install),
        ("start", &life.start),
        ("stop", &life.stop),
        ("status", &life.status),
        ("backup", &life.backup),
        ("restore", &life.restore),
    ] {
        for argv in line.iter().flat_map(|line| commands(line)) {
            wants.command(&argv, hook);
        }
    }
    for (path, text) in tree.files.keys().filter_map(|path| Some((path, tree.text(path)?))) {
        if is_shell(path, text) {
            for argv in commands(text) {
                wants.command(&argv, path);
            }
        } else if is_compose(path) {
            wants.images(text, path);
        } else if path.rsplit('/').next().is_some_and(|name| name.starts_with("Dockerfile")) {
            wants.built_on(text, path);
        }
    }
    wants.unpinned.sort();
    wants.unpinned.dedup();
    wants
}

fn is_shell(path: &str, text: &str) -> bool {
    let shebang = text.lines().next().unwrap_or_default();
    path.ends_with(".sh")
        || path.ends_with(".bash")
        || (shebang.starts_with("#!") && shebang.ends_with("sh"))
}

fn is_compose(path: &str) -> bool {
    let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
    (name.ends_with(".yml") || name.ends_with(".yaml")) && name.contains("compose")
}

type Named = Result<Found, Unpinned>;

fn unpinned(what: &str, why: &str) -> Named {
    Err(Unpinned { what: what.to_owned(), why: why.to_owned() })
}

/// `name`, `@scope/name`, with `@version`.
fn npm(text: &str) -> Named {
    let what = format!("npx {text}");
    if text.contains('$') {
        return unpinned(&what, "its name is only known when it runs");
    }
    let at = text.get(1..).and_then(|rest| rest.find('@')).map(|at| at + 1);
    let (name, version) = at.map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])));
    let bare = name.strip_prefix('@').map_or(Some(name), |scoped| {
        scoped.split_once('/').filter(|(scope, _)| !scope.is_empty()).map(|(_, name)| name)
    });
    let fine = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    if !bare
        .is_some_and(|bare| !bare.is_empty() && bare.chars().all(fine) && !bare.starts_with('.'))
    {
        return unpinned(&what, "it is no package of npm's registry");
    }
    let wants = version.filter(|v| !v.is_empty() && *v != "latest").map(str::to_owned);
    if wants.as_deref().is_some_and(|w| w.contains([':', '/'])) {
        return unpinned(&what, "it is no version of npm's registry");
    }
    Ok(Found { kind: PackageKind::Npm, name: name.to_owned(), wants })
}

/// `name`, `name[extra]`, with `==version`, `@version` or a range.
fn pypi(text: &str) -> Named {
    let what = format!("uvx {text}");
    if text.contains('$') {
        return unpinned(&what, "its name is only known when it runs");
    }
    let text = text.trim();
    let end = text.find(['=', '<', '>', '~', '!', '@', ' ']).unwrap_or(text.len());
    let (name, version) = text.split_at(end);
    let base = name.split('[').next().unwrap_or(name);
    let fine = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let odd = version.contains("://") || version.contains("git+");
    if base.is_empty() || !base.chars().all(fine) || base.starts_with(['-', '.']) || odd {
        return unpinned(&what, "it is no package of PyPI");
    }
    let wants = match version.strip_prefix('@') {
        Some("latest" | "") => None,
        Some(version) => Some(format!("=={}", version.trim())),
        None => Some(version.to_owned()).filter(|v| !v.is_empty()),
    };
    Ok(Found { kind: PackageKind::Pypi, name: name.to_owned(), wants })
}

/// `image:tag@digest`.
fn oci(text: &str) -> Named {
    if text.contains('$') || text.is_empty() {
        return unpinned(&format!("image {text}"), "its name is only known when it runs");
    }
    let (name, digest) = text.split_once('@').map_or((text, None), |(n, d)| (n, Some(d)));
    let colon = name.rfind(':').filter(|at| !name[*at..].contains('/'));
    let (name, tag) = colon.map_or((name, None), |at| (&name[..at], Some(&name[at + 1..])));
    let wants = match (tag, digest) {
        (tag, Some(digest)) => Some(format!("{}@{digest}", tag.unwrap_or("latest"))),
        (tag, None) => tag.map(str::to_owned),
    };
    Ok(Found { kind: PackageKind::Oci, name: name.to_owned(), wants })
}

impl Wants {
    fn add(&mut self, named: Named) {
        match named {
            Ok(found) => {
                // One exact pin says more than one without; the plugin's own word comes first.
                let same =
                    self.found.iter().position(|f| f.kind == found.kind && f.name == found.name);
                match same {
                    None => self.found.push(found),
                    Some(at) if self.found[at].wants.is_none() => self.found[at] = found,
                    Some(_) => {}
                }
            }
            Err(unpinned) => self.unpinned.push(unpinned),
        }
    }

    /// What one command runs.
    fn command(&mut self, argv: &[String], place: &str) {
        let is = |at: usize, word: &str| {
            argv.get(at).is_some_and(|w| w == word || w.ends_with(&format!("/{word}")))
        };
        for at in 0..argv.len() {
            let asked = at > 0
                && ["-v", "-V", "which", "type", "hash", "echo", "printf"]
                    .contains(&argv[at - 1].as_str());
            if asked || !starts(&argv[..at]) {
                continue;
            }
            if is(at, "npx") || is(at, "bunx") {
                npx_packages(&argv[at + 1..]).into_iter().for_each(|p| self.add(npm(&p)));
            } else if is(at, "uvx") {
                uvx_packages(&argv[at + 1..]).into_iter().for_each(|p| self.add(pypi(&p)));
            } else if is(at, "uv") && is(at + 1, "tool") && is(at + 2, "run") {
                uvx_packages(&argv[at + 3..]).into_iter().for_each(|p| self.add(pypi(&p)));
            } else if is(at, "docker") || is(at, "podman") {
                let image = match argv.get(at + 1).map(String::as_str) {
                    Some("run" | "create") => docker_image(&argv[at + 2..]),
                    Some("pull") => argv[at + 2..].iter().find(|w| !w.starts_with('-')).cloned(),
                    _ => None,
                };
                image.into_iter().for_each(|image| self.image(&image, place));
            } else if let Some(what) = downloads(&argv[at..]) {
                let why = format!("{place} fetches it itself");
                self.unpinned.push(Unpinned { what, why });
            }
        }
    }

    /// An image. Only what we start ourselves is started by its digest; a script or a Compose file of the plugin
    /// runs what it names.
    fn image(&mut self, image: &str, place: &str) {
        let ours = ["mcp", "service"].contains(&place);
        match oci(image) {
            Ok(found) if !ours && !image.contains('@') => self.unpinned.push(Unpinned {
                what: format!("image {image}"),
                why: format!(
                    "{place} names {}, which may move",
                    if found.wants.is_some() { "a tag" } else { "no version" }
                ),
            }),
            named => self.add(named),
        }
    }

    /// The images of a Compose file.
    fn images(&mut self, text: &str, place: &str) {
        for line in text.lines() {
            if let Some(image) = line.trim().strip_prefix("image:") {
                let image = image.split(" #").next().unwrap_or_default();
                self.image(image.trim().trim_matches(['"', '\'']), place);
            }
        }
    }

    /// The images that a Dockerfile builds on.
    fn built_on(&mut self, text: &str, place: &str) {
        let mut stages = vec!["scratch".to_owned()];
        for line in text.lines() {
            let words: Vec<&str> =
                line.split_whitespace().filter(|w| !w.starts_with("--")).collect();
            let ["FROM" | "from", image, rest @ ..] = words.as_slice() else { continue };
            if !stages.iter().any(|stage| stage == image) {
                self.image(image, place);
            }
            stages.extend(rest.get(1).map(|name| (*name).to_owned()));
        }
    }
}

/// Whether a program may stand after these words: at the beginning, after assignments or words such as `exec`.
fn starts(before: &[String]) -> bool {
    const FRONT: &[&str] = &[
        "exec", "env", "sudo", "then", "do", "else", "if", "!", "time", "nohup", "command",
        "while", "until", "elif", "nice", "setsid", "{", "cmd", "/c", "-c",
    ];
    before.iter().all(|w| {
        FRONT.contains(&w.as_str())
            || w.split_once('=').is_some_and(|(n, _)| !n.contains(' '))
            || w.ends_with("sh")
    })
}

/// Programs that bring something from the network that nobody pinned.
fn downloads(argv: &[String]) -> Option<String> {
    let word = |at: usize| argv.get(at).map_or("", |w| w.rsplit('/').next().unwrap_or(w));
    let flagless = || {
        argv.iter()
            .skip(2)
            .filter(|w| !w.starts_with('-'))
            .take(3)
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let named = match (word(0), word(1)) {
        ("pip" | "pip3", "install")
        | ("npm", "install" | "i")
        | ("pipx", "run" | "install")
        | ("pnpm" | "yarn", "dlx")
        | ("cargo" | "go" | "brew", "install")
        | ("git", "clone") => {
            format!("{} {} {}", word(0), word(1), flagless())
        }
        ("uv", "tool" | "pip") if word(2) == "install" => format!("uv {} {}", word(1), flagless()),
        ("curl" | "wget", _) => {
            let url = argv.iter().find(|w| w.starts_with("http"))?;
            let local = ["//localhost", "//127.", "$"].iter().any(|l| url.contains(l));
            if local {
                return None;
            }
            format!("{} {url}", word(0))
        }
        _ => return None,
    };
    Some(named.trim().to_owned())
}

/// The packages of `npx`: those of `-p`, or the first word that is no option.
pub(super) fn npx_packages(args: &[String]) -> Vec<String> {
    let mut packages = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "-p" | "--package" => packages.extend(rest.next().cloned()),
            "-c" | "--call" | "-w" | "--workspace" | "--registry" | "--cache" => drop(rest.next()),
            "--" => {}
            flag if flag.starts_with("--package=") => {
                packages.push(flag["--package=".len()..].to_owned());
            }
            flag if flag.starts_with('-') => {}
            word if packages.is_empty() => return vec![word.to_owned()],
            _ => break,
        }
    }
    packages
}

/// Options of `uvx` that have a value, besides those that name packages.
pub(super) const UVX_VALUES: &[&str] =
    &["-p", "--python", "--index-url", "--index", "--extra-index-url", "--directory", "--env-file"];

/// The packages of `uvx`: those of `--from` and `--with`, or the first word that is no option.
pub(super) fn uvx_packages(args: &[String]) -> Vec<String> {
    let (mut from, mut with) = (None, Vec::new());
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--from" => from = rest.next().cloned(),
            "--with" => with.extend(rest.next().cloned()),
            flag if flag.starts_with("--from=") => from = Some(flag["--from=".len()..].to_owned()),
            flag if flag.starts_with("--with=") => with.push(flag["--with=".len()..].to_owned()),
            flag if UVX_VALUES.contains(&flag) => drop(rest.next()),
            flag if flag.starts_with('-') => {}
            word => {
                from = from.or_else(|| Some(word.to_owned()));
                break;
            }
        }
    }
    from.into_iter().chain(with).collect()
}

/// The image of `docker run`.
pub(super) fn docker_image(args: &[String]) -> Option<String> {
    docker_image_at(args).map(|at| args[at].clone())
}

/// Where it stands.
pub(super) fn docker_image_at(args: &[String]) -> Option<usize> {
    const ALONE: &[&str] = &[
        "--rm",
        "--init",
        "--privileged",
        "--read-only",
        "--detach",
        "--interactive",
        "--tty",
        "--no-healthcheck",
        "--oom-kill-disable",
        "--publish-all",
        "--sig-proxy",
        "--quiet",
    ];
    let mut at = 0;
    while let Some(arg) = args.get(at) {
        let alone = arg.contains('=')
            || ALONE.contains(&arg.as_str())
            || (!arg.starts_with("--")
                && arg.starts_with('-')
                && arg[1..].chars().all(|c| "ditPq".contains(c)));
        at += match arg.starts_with('-') {
            false => return Some(at),
            true if alone => 1,
            true => 2,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Wants {
        let mut wants = Wants::default();
        commands(line).iter().for_each(|argv| wants.command(argv, "mcp"));
        wants
    }

    #[test]
    fn what_commands_run() {
        for (line, kind, name, version) in [
            (
                "npx -y @notionhq/notion-mcp-server",
                PackageKind::Npm,
                "@notionhq/notion-mcp-server",
                None,
            ),
            (
                "exec npx -y mcp-remote@0.1.2 \"$URL\"",
                PackageKind::Npm,
                "mcp-remote",
                Some("0.1.2"),
            ),
            ("npx --package=@a/b@^1 -- b run", PackageKind::Npm, "@a/b", Some("^1")),
            ("A=1 uvx mcp-server-git --repository .", PackageKind::Pypi, "mcp-server-git", None),
            ("uv tool run --from 'x[all]>=2' y", PackageKind::Pypi, "x[all]", Some(">=2")),
            ("uvx -p 3.13 serena@1.0", PackageKind::Pypi, "serena", Some("==1.0")),
            (
                "docker run -i --rm -e TOKEN --name=x ghcr.io:5000/a/b:1.2 stdio",
                PackageKind::Oci,
                "ghcr.io:5000/a/b",
                Some("1.2"),
            ),
        ] {
            let wants = of(line);
            let found = Found { kind, name: name.into(), wants: version.map(str::to_owned) };
            assert_eq!(wants.found, [found], "{line}: {wants:?}");
        }
    }

    #[test]
    fn what_cannot_be_pinned_is_told() {
        for line in [
            "npx -y github:o/r",
            "npx -y $PACKAGE",
            "uvx --from git+https://h/r x",
            "curl -fsSL https://x.y/i.sh | sh",
            "pip install -r requirements.txt",
            "uv tool install -p 3.13 serena-agent@latest",
        ] {
            let wants = of(line);
            assert!(wants.found.is_empty() && wants.unpinned.len() == 1, "{line}: {wants:?}");
        }
    }

    #[test]
    fn what_is_only_talked_about_is_not_run() {
        for line in [
            "command -v npx >/dev/null",
            "echo run npx x",
            "echo \"npx x\"",
            "# npx x",
            "which uvx",
            "curl -s http://localhost:1/x",
            "uv tool list",
        ] {
            assert_eq!(of(line), Wants::default(), "{line}");
        }
    }
}
