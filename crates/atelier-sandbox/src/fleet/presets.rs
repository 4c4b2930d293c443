//! Templates that come with Atelier: what they are made of. How they are built is `template.rs`.

use atelier_api::image::TemplateSpec;
use atelier_api::{ExitCode, Problem};

/// A recipe.
#[derive(Debug, Clone, Copy)]
pub(super) struct Preset {
    name: &'static str,
    image: &'static str,
    /// Files that are there before the setup begins.
    pub(super) files: &'static [(&'static str, &'static str)],
    setup: &'static [&'static str],
    start: Option<&'static str>,
    ready: Option<&'static str>,
}

/// What both need: the tools and the user that SDKs of hosted sandboxes count on. Debian and its
/// like have apt-get; on others what is there must do.
const TOOLS: &str = "set -e; export DEBIAN_FRONTEND=noninteractive; \
    missing=; for tool in bash sudo curl git python3 tput; do \
      command -v $tool >/dev/null || missing=1; done; \
    if [ -n \"$missing\" ]; then apt-get update; \
      apt-get install -y --no-install-recommends \
        bash sudo curl git ca-certificates python3 python3-venv ncurses-bin procps; \
      rm -rf /var/lib/apt/lists/*; fi; \
    command -v python >/dev/null || ln -s python3 /usr/bin/python";
const USER: &str = "set -e; id user >/dev/null 2>&1 || useradd -m -s /bin/bash -u 1000 user; \
    mkdir -p /etc/sudoers.d; \
    echo 'user ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/user; chmod 440 /etc/sudoers.d/user";

const INTERPRETER: &str = "/opt/atelier/interpreter.py";
const PACKAGES: &str = "set -e; python3 -m venv /opt/interpreter; \
    /opt/interpreter/bin/pip install --no-cache-dir \
      ipykernel jupyter_client tornado bash_kernel e2b-charts numpy pandas matplotlib pillow; \
    /opt/interpreter/bin/python -m bash_kernel.install --sys-prefix";

const PRESETS: &[Preset] = &[
    Preset {
        name: "base",
        image: "debian:bookworm-slim",
        files: &[],
        setup: &[TOOLS, USER],
        start: None,
        ready: None,
    },
    Preset {
        name: "code-interpreter",
        image: "debian:bookworm-slim",
        files: &[(INTERPRETER, include_str!("../../presets/interpreter.py"))],
        setup: &[TOOLS, USER, PACKAGES],
        start: Some(
            "INTERPRETER_HOME=$HOME exec /opt/interpreter/bin/python /opt/atelier/interpreter.py",
        ),
        ready: Some("curl -fsS http://127.0.0.1:49999/health"),
    },
];

/// The preset of that name.
pub(super) fn find(name: &str) -> Result<Preset, Problem> {
    PRESETS.iter().find(|preset| preset.name == name).copied().ok_or_else(|| {
        let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        Problem::new("template.preset", ExitCode::NotFound, format!("there is no preset {name:?}"))
            .hint(format!("those that there are: {}", names.join(", ")))
    })
}

impl Preset {
    /// What the user gave counts; the rest is the preset's. Its setup comes before the user's.
    pub(super) fn fill(&self, spec: &mut TemplateSpec) {
        if spec.image.is_empty() {
            self.image.clone_into(&mut spec.image);
        }
        let own = self.setup.iter().map(|command| (*command).to_owned());
        spec.setup = own.chain(std::mem::take(&mut spec.setup)).collect();
        let text = |text: Option<&str>| text.map(str::to_owned);
        spec.start = spec.start.take().or_else(|| text(self.start));
        spec.ready = spec.ready.take().or_else(|| text(self.ready));
        spec.user = spec.user.take().or_else(|| text(Some("user")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_fills_in_what_was_not_given() {
        let mut spec = TemplateSpec { image: "mine".into(), ..TemplateSpec::default() };
        spec.setup.push("make".into());
        find("base").unwrap().fill(&mut spec);
        assert_eq!(spec.image, "mine");
        assert_eq!(spec.setup, [TOOLS, USER, "make"]);
        assert_eq!(spec.user.as_deref(), Some("user"));
        assert!(find("nothing").unwrap_err().hints[0].contains("code-interpreter"));
    }
}
