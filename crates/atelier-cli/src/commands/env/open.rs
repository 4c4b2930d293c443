//! `atelier env open`: a service in the user's browser.

use std::process::{Command, Stdio};

use atelier_api::{ExitCode, Problem};

use super::url::UrlArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::print;

/// Programs that open a URL, in the order in which they are tried.
const OPENERS: [&str; 3] = ["xdg-open", "open", "wslview"];

/// Opens it; says where it is when there is no browser.
pub(crate) fn run(args: &UrlArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let found = args.find(context)?;
    let browser = std::env::var_os("BROWSER").filter(|name| !name.is_empty());
    let openers = browser.into_iter().chain(OPENERS.into_iter().map(Into::into));
    for opener in openers {
        let mut command = Command::new(opener);
        command.arg(&found.url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if command.status().is_ok_and(|status| status.success()) {
            print(format!("opened {}\n", found.url))?;
            return Ok(0);
        }
    }
    let detail = format!("no browser was found to open {}", found.url);
    Err(Problem::new("browser.missing", ExitCode::Configuration, detail)
        .hint("name one in BROWSER, or open the address by hand")
        .into())
}
