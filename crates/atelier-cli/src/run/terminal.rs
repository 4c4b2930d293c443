//! The terminal: whether there is one, its size, and its raw mode, which ends whatever happens.

use std::io;

use atelier_api::session::TerminalSize;
use rustix::fs::{FileType, fstat, makedev};
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetpgrp, tcsetattr};

/// What this process is connected to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminals {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// Whether standard input may be read: not by a job in the background, which would be stopped.
    pub foreground: bool,
}

impl Terminals {
    /// As things are.
    pub(crate) fn look() -> Self {
        let on = isatty(stdin());
        let foreground =
            !on || tcgetpgrp(stdin()).is_ok_and(|group| group == rustix::process::getpgrp());
        Self { stdin: on, stdout: isatty(stdout()), stderr: isatty(stderr()), foreground }
    }

    /// Whether a command gets a terminal when nobody says: as ssh does, when there is one at both ends.
    pub(crate) const fn interactive(self) -> bool {
        self.stdin && self.stdout && self.foreground
    }

    /// Whether there is anything to read: `/dev/null` has nothing, and the runtime library puts
    /// it in the place of a closed standard input.
    pub(crate) fn has_input(self) -> bool {
        if self.stdin {
            return self.foreground;
        }
        fstat(stdin()).is_ok_and(|found| {
            let device = FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice;
            // 1:3 is /dev/null (devices.txt of the kernel).
            !(device && found.st_rdev == makedev(1, 3))
        })
    }
}

/// The terminal's size; 80 by 24 where it cannot be told.
pub(crate) fn size() -> TerminalSize {
    let found = rustix::termios::tcgetwinsize(stdout())
        .or_else(|_| rustix::termios::tcgetwinsize(stdin()))
        .ok()
        .filter(|size| size.ws_row > 0 && size.ws_col > 0);
    found.map_or(TerminalSize { rows: 24, columns: 80 }, |size| TerminalSize {
        rows: size.ws_row,
        columns: size.ws_col,
    })
}

/// A terminal in raw mode: each key goes to the command, Ctrl-C among them. Dropping it puts the
/// terminal back, in a panic too.
#[derive(Debug)]
pub(crate) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Changes the terminal of standard input.
    pub(crate) fn enter() -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let raw = Self { before };
        raw.apply()?;
        Ok(raw)
    }

    /// Changes it again, after somebody else has changed it back.
    pub(crate) fn apply(&self) -> io::Result<()> {
        let mut raw = self.before.clone();
        raw.make_raw();
        Ok(tcsetattr(stdin(), OptionalActions::Drain, &raw)?)
    }

    /// Puts the terminal back for the time being.
    pub(crate) fn restore(&self) {
        // A terminal that is gone needs no restoring.
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.before);
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        self.restore();
    }
}
