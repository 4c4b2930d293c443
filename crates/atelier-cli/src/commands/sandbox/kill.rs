//! `atelier sandbox kill`: a signal for a command.

use clap::Args;
use rustix::process::Signal;

use super::args::SandboxArg;
use super::exec::inside;
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `atelier sandbox kill`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  atelier sandbox kill dev 12 -s KILL")]
pub(crate) struct KillArgs {
    #[command(flatten)]
    pub sandbox: SandboxArg,
    /// The command's number, as `atelier sandbox ps` lists it
    #[arg(value_name = "PID")]
    pub pid: u32,
    /// The signal: TERM, SIGINT, 9
    #[arg(short, long, value_name = "SIGNAL", default_value = "TERM", value_parser = signal)]
    pub signal: i32,
}

/// The signals that people send by name.
const NAMES: [(&str, Signal); 12] = [
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("KILL", Signal::KILL),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
    ("PIPE", Signal::PIPE),
    ("ALRM", Signal::ALARM),
    ("TERM", Signal::TERM),
    ("CONT", Signal::CONT),
    ("STOP", Signal::STOP),
    ("WINCH", Signal::WINCH),
];

fn signal(text: &str) -> Result<i32, String> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number).ok_or("signals are 1 to 64".into());
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let known = NAMES.iter().find(|(known, _)| *known == name);
    known.map(|(_, signal)| signal.as_raw()).ok_or_else(|| {
        let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
        format!("it is a number, or one of {}", names.join(", "))
    })
}

/// Sends it.
pub(crate) fn run(args: &KillArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let plane = context.control_plane()?;
    let inside = inside(&plane, &args.sandbox, None);
    context.wait(async {
        inside.guest().await?.signal(args.pid, args.signal).await?;
        Ok(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_names_and_a_number() {
        for text in ["KILL", "kill", "SIGKILL", "9"] {
            assert_eq!(signal(text), Ok(9), "{text}");
        }
        for bad in ["", "0", "65", "-9", "NOTHING"] {
            assert!(signal(bad).is_err(), "{bad}");
        }
    }
}
