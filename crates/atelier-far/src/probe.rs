//! What a host says of itself, in one question.

use std::process::Stdio;

use crate::error::{FarError, Result};
use crate::quote;
use crate::ssh::Ssh;

/// What stands before each line of ours: a shell's start-up files may write lines of their own.
const MARK: &str = "atelier-far:";

/// What a host says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its kernel and processor, as `uname -sm` has it.
    pub machine: String,
    /// Atelier's home there.
    pub home: String,
    /// Our program there, of this build.
    pub program: String,
    /// Whether it is there.
    pub installed: bool,
    /// Whether it has rsync.
    pub rsync: bool,
    /// Whether it has git.
    pub git: bool,
    /// What of a container engine can be seen: the sockets that are there.
    pub engines: Vec<String>,
    /// Free bytes below its home, in KiB.
    pub free_kib: u64,
}

impl Facts {
    /// Asks. `build` is this program's.
    pub(crate) fn ask(ssh: &Ssh, build: &str) -> Result<Self> {
        let ran = ssh.run(&script(ssh.host().home.as_deref(), build), Stdio::null())?;
        let name = &ssh.host().name;
        let facts = Self::read(&String::from_utf8_lossy(&ran.stdout));
        if facts.home.is_empty() || facts.program.is_empty() {
            return Err(FarError::there(name, "looking around", &ran.stderr));
        }
        Ok(facts)
    }

    fn read(text: &str) -> Self {
        let mut facts = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.strip_prefix(MARK).and_then(|l| l.split_once('=')) else {
                continue;
            };
            match key {
                "machine" => facts.machine = value.to_owned(),
                "home" => facts.home = value.to_owned(),
                "program" => facts.program = value.to_owned(),
                "installed" => facts.installed = true,
                "rsync" => facts.rsync = true,
                "git" => facts.git = true,
                "engine" => facts.engines.push(value.to_owned()),
                "free" => facts.free_kib = value.trim().parse().unwrap_or(0),
                _ => {}
            }
        }
        facts
    }
}

fn script(home: Option<&str>, build: &str) -> String {
    let home = home.map_or_else(|| "\"$HOME\"/.atelier".to_owned(), quote::shell);
    let safe = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' };
    let name: String = build.chars().map(safe).collect();
    format!(
        r#"say() {{ printf '{MARK}%s=%s\n' "$1" "$2"; }}
home={home}
program="$home/bin/far/atelier-{name}"
say machine "$(uname -s) $(uname -m)"
say home "$home"
say program "$program"
[ -x "$program" ] && say installed yes
command -v rsync >/dev/null && say rsync yes
command -v git >/dev/null && say git yes
for socket in /var/run/docker.sock /run/podman/podman.sock "$XDG_RUNTIME_DIR"/docker.sock "$XDG_RUNTIME_DIR"/podman/podman.sock; do
  [ -S "$socket" ] && say engine "$socket"
done
say free "$(df -Pk "$HOME" 2>/dev/null | awk 'NR == 2 {{ print $4 }}')"
exit 0"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_says_is_read_past_its_greeting() {
        let text = "Welcome!\natelier-far:machine=Linux x86_64\natelier-far:home=/h\n\
                    atelier-far:program=/h/bin/far/atelier-1\natelier-far:installed=yes\n\
                    atelier-far:engine=/var/run/docker.sock\natelier-far:free=1024\n";
        let facts = Facts::read(text);
        assert_eq!((facts.machine.as_str(), facts.home.as_str()), ("Linux x86_64", "/h"));
        assert!(facts.installed && !facts.rsync);
        assert_eq!((facts.engines.len(), facts.free_kib), (1, 1024));
    }

    #[test]
    fn a_build_becomes_a_file_name() {
        assert!(script(None, "0.1.0+a/b").contains("bin/far/atelier-0.1.0-a-b\""));
        assert!(script(Some("/a b"), "1").contains("home='/a b'"));
    }
}
