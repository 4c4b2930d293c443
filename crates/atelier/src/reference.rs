//! Reference pages that are made from the parts.

use std::fmt::Write as _;

use atelier_environment::Config;
use atelier_launch::grants::{GRANTS, MACHINE};
use serde_json::Value;

/// Each page by its file name.
pub(crate) fn pages() -> Vec<(&'static str, String)> {
    vec![
        ("openapi.json", pretty(&atelier_server::openapi())),
        ("atelier.schema.json", pretty(&Config::json_schema().to_value())),
        ("credentials.md", credentials()),
    ]
}

fn pretty(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

fn credentials() -> String {
    let mut page = "# Credentials\n\nThese paths of a home directory are not visible inside an \
                    environment, unless `--grant NAME` or `grants:` in `atelier.yaml` names their \
                    group.\n\n| grant | what | paths |\n|---|---|---|\n"
        .to_owned();
    for grant in GRANTS {
        let paths: Vec<String> = grant.paths.iter().map(|p| format!("`~/{p}`")).collect();
        let _ = writeln!(page, "| `{}` | {} | {} |", grant.name, grant.about, paths.join(" "));
    }
    page.push_str("\nThese paths of the machine are never visible:\n\n");
    for path in MACHINE {
        let _ = writeln!(page, "- `{path}`");
    }
    page
}
