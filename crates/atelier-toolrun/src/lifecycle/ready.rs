//! A tool with everything that its commands run in, and running them.

use std::time::Duration;

use super::environment::{Environment, SERVICE, environment};
use super::error::{Error, Result};
use super::spawn::Line;
use super::tool::{Kind, Manner, Step, Tool};
use crate::Home;
use crate::secrets::{self, Masker, Purpose, Variables};

/// A tool with everything that its commands run in.
pub(crate) struct Ready {
    pub tool: Tool,
    pub variables: Variables,
    pub environment: Environment,
    pub masker: Masker,
}

impl Ready {
    pub(crate) fn new(home: &Home, tool: Tool, manner: &Manner<'_>) -> Result<Self> {
        let around = |name: &str| manner.variable(name);
        let variables = secrets::resolve(home, &tool.slug, &tool.plugin, Purpose::Service, around)?;
        Ok(Self::with(home, tool, manner, variables))
    }

    /// With what can be had: to stop a service or to ask for it, no secret must be opened.
    pub(crate) fn at_least(home: &Home, tool: Tool, manner: &Manner<'_>) -> Self {
        let around = |name: &str| manner.variable(name);
        let variables = secrets::resolve(home, &tool.slug, &tool.plugin, Purpose::Service, around)
            .unwrap_or_else(|_| Variables::none(&tool.slug));
        Self::with(home, tool, manner, variables)
    }

    fn with(home: &Home, tool: Tool, manner: &Manner<'_>, variables: Variables) -> Self {
        let environment = environment(home, &tool, manner, &variables, SERVICE);
        Self { masker: variables.masker(), tool, variables, environment }
    }

    /// Runs a command of its life in its folder.
    pub(crate) fn run(
        &self,
        home: &Home,
        manner: &Manner<'_>,
        verb: &str,
        line: &str,
        timeout: Option<Duration>,
    ) -> Result<()> {
        let slug = &self.tool.slug;
        let log = self.tool.run_folder(home)?.join(format!("{verb}.log"));
        let line = Line {
            line,
            folder: &self.tool.folder,
            environment: &self.environment,
            log: &log,
            masker: &self.masker,
            timeout,
        };
        manner.tell(slug, Step::Runs, Some(verb));
        let ran = line.run(&mut |said| manner.tell(slug, Step::Says, Some(said)));
        let ran = ran.map_err(|source| Error::Program { program: "/bin/sh".into(), source })?;
        let engine = matches!(self.tool.kind(), Kind::Compose | Kind::Docker | Kind::Systemd);
        match ran.code {
            0 => Ok(()),
            code => {
                let (slug, verb) = (slug.to_string(), verb.to_owned());
                Err(Error::Command { slug, verb, code, said: ran.said, engine })
            }
        }
    }
}
