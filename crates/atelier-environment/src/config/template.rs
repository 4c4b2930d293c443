//! The `atelier.yaml` that `atelier init` writes: commented, and fitted to what the project is.

use std::path::Path;

use atelier_api::Name;

/// What a kind of project is known by, and how one sets it up, tests it and starts it.
struct Known {
    file: &'static str,
    init: &'static str,
    commands: &'static [(&'static str, &'static str)],
}

const KNOWN: [Known; 9] = [
    Known {
        file: "package-lock.json",
        init: "npm ci",
        commands: &[("test", "npm test"), ("start", "npm start")],
    },
    Known {
        file: "pnpm-lock.yaml",
        init: "pnpm install --frozen-lockfile",
        commands: &[("test", "pnpm test"), ("start", "pnpm start")],
    },
    Known {
        file: "yarn.lock",
        init: "yarn install",
        commands: &[("test", "yarn test"), ("start", "yarn start")],
    },
    Known {
        file: "package.json",
        init: "npm install",
        commands: &[("test", "npm test"), ("start", "npm start")],
    },
    Known {
        file: "Cargo.toml",
        init: "cargo fetch",
        commands: &[("test", "cargo test"), ("build", "cargo build")],
    },
    Known {
        file: "go.mod",
        init: "go mod download",
        commands: &[("test", "go test ./..."), ("build", "go build ./...")],
    },
    Known {
        file: "pyproject.toml",
        init: "python3 -m venv .venv && .venv/bin/pip install -e .",
        commands: &[("test", ".venv/bin/python -m pytest")],
    },
    Known {
        file: "requirements.txt",
        init: "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
        commands: &[("test", ".venv/bin/python -m pytest")],
    },
    Known { file: "Makefile", init: "make", commands: &[("test", "make test")] },
];

/// The text of an `atelier.yaml` for the project at `root`. It reads as valid settings.
#[must_use]
pub fn template(root: &Path, name: &Name) -> String {
    let known = KNOWN.iter().find(|k| root.join(k.file).is_file());
    let mut text = format!(
        "# Settings of this project's environments. Everything is optional.\n\
         # `atelier config` shows what holds and why.\n\n\
         # The project's name (a DNS label); the folder's name when absent.\nname: {name}\n\n\
         # What isolates an environment.\n# runtime: host\n\n\
         # A shell command that is run once, when an environment is made.\n"
    );
    match known {
        Some(known) => {
            text += &format!("# (found {})\ninit: {}\n\n", known.file, known.init);
            text +=
                "# Commands by name: `atelier run ENV test` runs the one called test.\ncommands:\n";
            for (name, command) in known.commands {
                text += &format!("  {name}: {command}\n");
            }
        }
        None => {
            text += "# init: ./setup.sh\n\n";
            text += "# Commands by name: `atelier run ENV test` runs the one called test.\n";
            text += "# commands:\n#   test: ./run-tests.sh\n";
        }
    }
    text + REST
}

const REST: &str = "
# Environment variables for every command.
# env:
#   LOG_LEVEL: debug

# What one environment may use.
# resources:
#   memory: 2GiB
#   cpus: 1.5
#   processes: 512
#   disk: 10GiB

# Credentials of the home directory that are visible inside.
# grants: [ssh]

# What an environment may reach: open (the default), none, or only a list.
# network:
#   allow: [registry.npmjs.org:443]

# The port of the project's web server.
# port: 8000
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn the_template_of_every_kind_of_project_is_valid() {
        let name: Name = "shop".parse().unwrap();
        for known in KNOWN.iter().map(|k| k.file).chain(["nothing-known"]) {
            let tmp = tempfile::tempdir().unwrap();
            std::fs::write(tmp.path().join(known), "").unwrap();
            let text = template(tmp.path(), &name);
            let config = Config::parse(text.as_bytes(), Path::new("atelier.yaml")).unwrap();
            assert_eq!(config.name, Some(name.clone()));
            assert_eq!(config.init.is_some(), known != "nothing-known", "{known}");
        }
    }

    #[test]
    fn its_commented_settings_are_valid_too() {
        let name: Name = "shop".parse().unwrap();
        let text = template(Path::new("/nonexistent"), &name);
        let uncommented: String = text
            .lines()
            .filter_map(|l| l.strip_prefix("# ").or_else(|| l.strip_prefix("#")))
            .filter(|l| {
                l.starts_with("  ")
                    || l.split_once(':')
                        .is_some_and(|(k, _)| !k.contains(' ') && !k.is_empty() && k != "Reference")
            })
            .map(|l| format!("{l}\n"))
            .collect();
        let config = Config::parse(uncommented.as_bytes(), Path::new("atelier.yaml")).unwrap();
        assert_eq!(config.port, Some(8000));
        assert_eq!(config.resources.processes, Some(512));
        assert_eq!(config.commands.len(), 1);
    }
}
