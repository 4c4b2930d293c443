//! A machine whose clock is wrong, and is put right while Atelier runs.
//!
//! libfaketime stands between the programs and the clock of the day; the monotonic clock is left alone,
//! as it is when an administrator sets the time.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Done, Lab, wait_until};

/// A clock of the test's own.
struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    fn at(lab: &Lab, time: &str) -> Self {
        let libraries = ["x86_64", "aarch64"]
            .map(|m| format!("/usr/lib/{m}-linux-gnu/faketime/libfaketimeMT.so.1"));
        let library = libraries.iter().map(PathBuf::from).find(|path| path.exists());
        let library = library.expect("libfaketime is not here: apt install faketime");
        let clock = Self { library, file: lab.user_home().join("clock") };
        clock.set(time);
        clock
    }

    /// Sets it, while programs look at it: `+400d`, `-400d`, `+0`.
    fn set(&self, time: &str) {
        let fresh = self.file.with_extension("new");
        fs::write(&fresh, time).unwrap();
        fs::rename(&fresh, &self.file).unwrap();
    }

    fn run(&self, lab: &Lab, args: &[&str]) -> Done {
        let mut command = lab.command(args);
        command.env("LD_PRELOAD", &self.library).env("FAKETIME_TIMESTAMP_FILE", &self.file);
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Done::of(command.output().unwrap())
    }

    fn ok(&self, lab: &Lab, args: &[&str]) -> String {
        let done = self.run(lab, args);
        assert_eq!(done.code, 0, "{args:?}: {}", done.stderr);
        done.stdout
    }
}

/// The control plane of the lab sees the clock, which is no matter of course with a preloaded library.
fn sees_it(lab: &Lab, library: &Path) {
    let maps = fs::read_to_string(format!("/proc/{}/maps", lab.control_plane().unwrap())).unwrap();
    assert!(
        maps.contains(library.to_str().unwrap()),
        "the control plane runs by the machine's clock"
    );
}

#[test]
fn a_clock_that_is_set_back_or_ahead_while_it_runs_loses_nothing() {
    let lab = Lab::new();
    let clock = Clock::at(&lab, "+0");
    clock.ok(&lab, &["run", "work", "--", "sh", "-c", "echo mine > mine"]);
    sees_it(&lab, &clock.library);
    for time in ["-4000d", "+4000d", "+0"] {
        clock.set(time);
        assert!(clock.ok(&lab, &["env", "ls"]).contains("work"), "{time}");
        assert_eq!(clock.ok(&lab, &["run", "work", "--", "cat", "mine"]).trim(), "mine", "{time}");
        clock.ok(&lab, &["run", "--new", &format!("new{}", time.len()), "--", "true"]);
        clock.ok(&lab, &["env", "rm", "-y", "-f", &format!("new{}", time.len())]);
        clock.ok(&lab, &["audit", "--json"]);
    }
}

#[test]
fn what_was_made_in_the_future_is_not_old_and_is_kept_over_a_restart() {
    let lab = Lab::new();
    let clock = Clock::at(&lab, "+4000d");
    clock.ok(&lab, &["run", "ahead", "--", "sh", "-c", "echo mine > mine"]);
    sees_it(&lab, &clock.library);
    clock.ok(&lab, &["stop"]);
    clock.set("+0");
    assert_eq!(clock.ok(&lab, &["run", "ahead", "--", "cat", "mine"]).trim(), "mine");
    clock.ok(&lab, &["gc", "--yes", "--force", "--older-than", "1h"]);
    clock.ok(&lab, &["doctor"]);
    assert_eq!(clock.ok(&lab, &["run", "ahead", "--", "cat", "mine"]).trim(), "mine");
}

#[test]
fn what_is_in_use_is_not_stopped_as_idle_when_the_clock_leaps() {
    let lab = Lab::new();
    let clock = Clock::at(&lab, "+0");
    clock.ok(&lab, &["run", "work", "-d", "--", "sleep", "1000"]);
    sees_it(&lab, &clock.library);
    clock.set("+4000d");
    // Long after every idle time by the clock of the day: what is in use is not stopped.
    assert!(clock.ok(&lab, &["env", "show", "work", "--json"]).contains("sleep"));
    clock.set("-4000d");
    clock.ok(&lab, &["env", "stop", "work"]);
    wait_until("it is stopped", || {
        !clock.ok(&lab, &["env", "show", "work", "--json"]).contains("sleep")
    });
}
