//! Far hosts: machines that SSH reaches. Each test has one of its own, in a network namespace behind a
//! cable, with a real SSH server.

mod errors;
mod line;
mod names;
mod work;

use crate::support::{FarHost, Lab};

/// A project here, and a machine that its user knows as `far`.
struct Pair {
    lab: Lab,
    far: FarHost,
}

impl Pair {
    fn new() -> Self {
        let pair = Self { lab: Lab::new(), far: FarHost::new() };
        pair.far.trust();
        pair.far.add_to(&pair.lab);
        pair
    }

    /// Runs a command for the far host; it must succeed.
    fn ok(&self, args: &[&str]) -> String {
        self.lab.ok(&[&["--on", "far"], args].concat())
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.far.cable(true);
        let listed = self.lab.run(&["--on", "far", "env", "ls", "--quiet"]).stdout;
        for env in listed.lines() {
            self.lab.run(&["--on", "far", "env", "rm", "--yes", "--force", env]);
        }
        self.lab.run(&["--on", "far", "stop"]);
        self.lab.run(&["host", "rm", "far"]);
    }
}
