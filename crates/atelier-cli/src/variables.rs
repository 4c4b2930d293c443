//! Which variables a command gets from its caller: a list of names, and what the user adds. The
//! rest stays outside, since a shell's environment is where people keep their secrets.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use atelier_api::{ExitCode, Problem};
use clap::Args;

use crate::failure::Failure;

/// What commands expect of the shell that they are called from.
pub(crate) const INHERITED: &[&str] = &[
    // Who and where.
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    // How the user likes to read and write.
    "EDITOR",
    "VISUAL",
    "PAGER",
    "NO_COLOR",
    "FORCE_COLOR",
    "CI",
    // Where toolchains are.
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "GOPATH",
    "GOROOT",
    "GOTOOLCHAIN",
    "NVM_DIR",
    "NVM_BIN",
    "VOLTA_HOME",
    "FNM_DIR",
    "PNPM_HOME",
    "BUN_INSTALL",
    "PYENV_ROOT",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "RBENV_ROOT",
    "GEM_HOME",
    "JAVA_HOME",
    "SDKMAN_DIR",
    "DOTNET_ROOT",
    // Which certificates are trusted.
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
];
/// And every name that begins so: the locale's.
const INHERITED_PREFIX: &str = "LC_";
/// With a terminal, what describes it.
const OF_TERMINALS: &[&str] = &["TERM", "COLORTERM"];

/// Variables that the user adds.
#[derive(Debug, Default, Args)]
pub(crate) struct VariableArgs {
    /// Set a variable; without =VALUE, pass yours on
    #[arg(id = "variable", short = 'e', long = "env", value_name = "NAME[=VALUE]")]
    pub env: Vec<OsString>,
    /// Set the variables of a file with a NAME=VALUE on each line
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
}

impl VariableArgs {
    /// What they set: flags over files, later ones over earlier ones.
    pub(crate) fn collect(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut variables = BTreeMap::new();
        for file in &self.env_file {
            read_file(file, &mut variables)?;
        }
        for given in &self.env {
            let (name, value) = pair(given, |name| env::var_os(name))?;
            variables.insert(name, value);
        }
        Ok(variables)
    }
}

/// What the command inherits from this process.
pub(crate) fn inherited(terminal: bool) -> BTreeMap<String, String> {
    let known = |name: &str| {
        INHERITED.contains(&name)
            || name.starts_with(INHERITED_PREFIX)
            || (terminal && OF_TERMINALS.contains(&name))
    };
    // Values that are not UTF-8 cannot travel; none of these is meant to be one.
    let text =
        env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?)));
    text.filter(|(name, _)| known(name)).collect()
}

fn pair(
    given: &OsStr,
    get: impl Fn(&str) -> Option<OsString>,
) -> Result<(String, String), Failure> {
    let text = given.to_str().ok_or_else(|| Failure::usage(format!("{given:?} is not UTF-8")))?;
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, value.to_owned()),
        None => {
            let own = get(text)
                .ok_or_else(|| Failure::usage(format!("-e {text}: it is not set here")))?;
            let value = own.into_string();
            (text, value.map_err(|_| Failure::usage(format!("-e {text}: it is not UTF-8")))?)
        }
    };
    if name.is_empty() || name.contains('\0') || value.contains('\0') {
        return Err(Failure::usage(format!("-e {text:?}: there is no name before '='")));
    }
    Ok((name.to_owned(), value))
}

fn read_file(path: &Path, variables: &mut BTreeMap<String, String>) -> Result<(), Failure> {
    let bad = |detail: String| {
        Failure::from(Problem::new("env_file.invalid", ExitCode::InvalidInput, detail))
    };
    let text = fs::read_to_string(path)
        .map_err(|e| bad(format!("{} cannot be read: {e}", path.display())))?;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let assignment = line.strip_prefix("export ").unwrap_or(line);
        match assignment.split_once('=') {
            Some((name, value)) if is_name(name.trim()) => {
                variables.insert(name.trim().to_owned(), unquoted(value.trim()).to_owned());
            }
            _ => {
                let place = format!("{}:{}", path.display(), number + 1);
                return Err(bad(format!("{place}: a line must read NAME=VALUE")));
            }
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn unquoted(value: &str) -> &str {
    let quoted = |q| value.strip_prefix(q).and_then(|v: &str| v.strip_suffix(q));
    quoted('"').or_else(|| quoted('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_passes_the_callers_value_on() {
        let get = |name: &str| (name == "TOKEN").then(|| OsString::from("s3cret"));
        let own = pair("TOKEN".as_ref(), get).unwrap();
        assert_eq!(own, ("TOKEN".into(), "s3cret".into()));
        let set = pair("A=b=c".as_ref(), get).unwrap();
        assert_eq!(set, ("A".into(), "b=c".into()));
        for bad in ["MISSING", "=x", ""] {
            assert!(pair(bad.as_ref(), get).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_of_variables_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".env");
        fs::write(&file, "# words\n\nA=1\nexport B = \"two words\"\nC='x=y'\nD=\n").unwrap();
        let args = VariableArgs { env: vec!["A=2".into()], env_file: vec![file] };
        let got = args.collect().unwrap();
        let want = [("A", "2"), ("B", "two words"), ("C", "x=y"), ("D", "")];
        assert_eq!(got, want.map(|(n, v)| (n.to_owned(), v.to_owned())).into());
    }

    #[test]
    fn a_bad_line_is_shown_with_its_number() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("vars");
        fs::write(&file, "A=1\nnonsense\n").unwrap();
        let args = VariableArgs { env: vec![], env_file: vec![file] };
        let Err(Failure::Problem(problem)) = args.collect() else { panic!("it was taken") };
        assert!(problem.detail.contains("vars:2:"), "{}", problem.detail);
        assert_eq!(problem.exit_code(), ExitCode::InvalidInput);
    }

    #[test]
    fn secrets_are_not_inherited() {
        for secret in ["AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "SSH_AUTH_SOCK", "OPENAI_API_KEY"] {
            assert!(!INHERITED.contains(&secret));
        }
        assert!(!inherited(false).contains_key("TERM"));
        assert_eq!(inherited(false).get("PATH"), env::var("PATH").ok().as_ref());
    }
}
