//! `atelier-guest serve`: its flags.

use std::process::ExitCode;
use std::time::Duration;

use atelier_guest::{Listener, ServeOptions, serve_on};

const USAGE: &str = "usage: atelier-guest serve --listen unix:PATH|tcp:ADDRESS:PORT|fd:NUMBER
  --spool DIR           keep up to 8 MiB of each process's output in DIR, instead of 1 MiB in memory
  --layer DIR           answer GET /layer with DIR, the upper folder of the overlay that is the root
  --default-user NAME   the user of callers that name none: a name, UID or UID:GID
  --default-workdir DIR where processes start, instead of the user's home
  --env NAME=VALUE      a variable of every process; may be repeated
  --token-env NAME      take the access token from this variable of the environment
  --stop-grace SECONDS  how long processes may take to end after SIGTERM (2)
  --set-clock           let POST /init set the clock: for virtual machines only";

/// Serves until SIGTERM.
pub fn run(arguments: impl Iterator<Item = String>) -> ExitCode {
    let (listen, options) = match parse(arguments) {
        Ok(parsed) => parsed,
        Err(why) => {
            eprintln!("atelier-guest: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let served = Listener::open(&listen).and_then(|listener| serve_on(listener, options));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("atelier-guest: cannot serve on {listen}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<(String, ServeOptions), String> {
    let mut options = ServeOptions::default();
    let mut listen = None;
    while let Some(flag) = arguments.next() {
        if flag == "--set-clock" {
            options.set_clock = true;
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--listen" => listen = Some(value),
            "--spool" => options.spool = Some(value.into()),
            "--layer" => {
                let folder = std::fs::File::open(&value);
                let folder = folder.map_err(|error| format!("{value} can't be opened: {error}"))?;
                options.layer = Some(folder.into());
            }
            "--default-user" => options.default_user = Some(value),
            "--default-workdir" => options.default_workdir = Some(value.into()),
            "--env" => {
                let (name, value) =
                    value.split_once('=').ok_or_else(|| format!("{value} is not NAME=VALUE"))?;
                options.env.push((name.to_owned(), value.to_owned()));
            }
            "--token-env" => {
                let token = std::env::var(&value).map_err(|_| format!("{value} is not set"))?;
                options.token = Some(token);
            }
            "--stop-grace" => {
                let seconds = value.parse().map_err(|_| format!("{value} is no number"))?;
                options.stop_grace = Duration::from_secs(seconds);
            }
            _ => return Err(format!("unknown flag {flag}")),
        }
    }
    Ok((listen.ok_or("--listen is missing")?, options))
}
