//! `atelier docs FOLDER`: the reference pages, made from the code. Hidden, since it is for those who
//! build Atelier: CI compares the pages with those in `docs/reference`.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use atelier_api::{ExitCode, Problem};
use atelier_config::{Home, Layer, Settings, env_vars};
use clap::{Args, Command};

use crate::cli::command_line;
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `atelier docs`.
#[derive(Debug, Args)]
pub(crate) struct DocsArgs {
    /// The folder for the pages
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

/// Writes the pages.
pub(crate) fn run(args: &DocsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let mut pages = vec![
        ("cli.md", cli()),
        ("exit-codes.md", exit_codes()),
        ("environment-variables.md", env_vars::reference()),
        ("settings.md", settings()?),
        ("plugin.schema.json", schema(&atelier_plugin::json_schema())?),
        ("tools.schema.json", schema(&atelier_tools::home::json_schema())?),
    ];
    pages.extend(context.hooks.reference_pages());
    let write = || {
        fs::create_dir_all(&args.folder)?;
        pages.iter().try_for_each(|(name, text)| fs::write(args.folder.join(name), text))
    };
    write().map_err(|e| {
        let detail = format!("the pages cannot be written to {}: {e}", args.folder.display());
        Failure::from(Problem::new("docs.failed", ExitCode::Failed, detail))
    })?;
    Ok(0)
}

fn schema(schema: &serde_json::Value) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(schema).map_err(std::io::Error::other)?;
    Ok(text + "\n")
}

fn cli() -> String {
    let mut page = "# The command line\n\nMade from the code by `atelier docs`.\n".to_owned();
    // A fixed width, so that the page does not depend on the terminal.
    let mut root = command_line().term_width(100);
    root.build();
    section(&mut page, &mut root);
    page
}

fn section(page: &mut String, command: &mut Command) {
    let help = command.render_long_help().to_string();
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = write!(page, "\n## {name}\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
    for inner in command.get_subcommands_mut().filter(|c| !c.is_hide_set()) {
        section(page, inner);
    }
}

fn exit_codes() -> String {
    let mut page = "# Exit codes\n\n`atelier run` ends with its command's own code: 128 and the \
                    signal's number when a signal ended it, 126 or 127 when it could not be \
                    started. Everything else ends with one of these.\n\n\
                    | code | meaning | over HTTP |\n|---|---|---|\n"
        .to_owned();
    for (code, meaning) in ExitCode::TABLE {
        let _ = writeln!(page, "| {} | {meaning} | {} |", code.code(), code.http_status());
    }
    page
}

fn settings() -> Result<String, Failure> {
    let nowhere = Home::at("/nonexistent");
    let defaults = Settings::load(&nowhere, None, |_| None, Layer::default())?;
    let mut page =
        "# Settings\n\nIn `config.yaml` of the home folder. Flags stand above environment \
                    variables, these above the project's `atelier.yaml`, that above `config.yaml`, \
                    that above the defaults. `atelier config` shows each value and where it comes \
                    from.\n\n| key | default |\n|---|---|\n"
            .to_owned();
    for row in defaults.rows() {
        let _ = writeln!(page, "| `{}` | {} |", row.key, row.value);
    }
    Ok(page)
}
