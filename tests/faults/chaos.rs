//! The control plane is killed again and again while environments are made, used and removed.
//! Afterwards each is whole or gone, and nothing of it is left on the machine.

use std::process::Child;
use std::time::Duration;

use crate::support::{Lab, Traces, wait_until};

/// Small and quick, and different every time; the seed is printed.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = std::env::var("ATELIER_TEST_SEED").ok().and_then(|s| s.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) * 0x9e37_79b9 + 1);
        println!("ATELIER_TEST_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        // xorshift64, Marsaglia 2003
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What 200 changes do, four at a time.
fn act(lab: &Lab, dice: &mut Dice) -> Child {
    let env = format!("e{}", dice.below(12));
    match dice.below(4) {
        0 => lab.spawn(&["env", "create", &env]),
        1 => lab.spawn(&["env", "rm", "--yes", "--force", &env]),
        2 => lab.spawn(&["run", "--rm", "--", "sh", "-c", "echo x > /etc/x; sleep 0.02"]),
        _ => lab.spawn(&["run", &env, "--", "sh", "-c", "cat src/app.txt; echo y >> src/app.txt"]),
    }
}

#[test]
fn killed_at_random_moments_everything_is_whole_or_gone() {
    let lab = Lab::new();
    lab.ok(&["run", "first", "--", "true"]);
    lab.ok(&["env", "rm", "--yes", "first"]);
    let before = Traces::of(&lab.home());
    let mut dice = Dice::new();
    let mut kills = 0;
    for _ in 0..50 {
        let changes: Vec<Child> = (0..4).map(|_| act(&lab, &mut dice)).collect();
        if dice.below(2) == 0 {
            std::thread::sleep(Duration::from_millis(dice.below(60)));
            if let Some(pid) = serving(&lab) {
                // SAFETY: a signal to a process that this test started.
                unsafe { libc::kill(pid, libc::SIGKILL) };
                kills += 1;
            }
        }
        for mut change in changes {
            wait_until("a change ends", || change.try_wait().unwrap().is_some());
        }
    }
    assert!(kills > 5, "only {kills} kills");
    // Whole: a command runs in each, and sees the project.
    let list = lab.json(&["env", "ls"]);
    for env in list.as_array().unwrap() {
        let name = env["name"].as_str().unwrap();
        let seen = lab.ok(&["run", name, "--", "head", "-1", "src/app.txt"]);
        assert_eq!(seen, "one\n", "{name}");
    }
    for env in list.as_array().unwrap() {
        lab.ok(&["env", "rm", "--yes", "--force", env["name"].as_str().unwrap()]);
    }
    before.wait_until_nothing_more(&lab.home());
    let checks = lab.json(&["doctor"]);
    let leftovers = checks.as_array().unwrap().iter().find(|c| c["name"] == "leftovers").unwrap();
    assert_eq!(leftovers["verdict"], "ok", "{leftovers}");
}

/// The control plane's process by its lock, without starting one.
fn serving(lab: &Lab) -> Option<i32> {
    let home = lab.home().display().to_string();
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        let is_server = String::from_utf8_lossy(&line).contains("\0serve\0");
        let is_ours =
            String::from_utf8_lossy(&environment).contains(&format!("ATELIER_HOME={home}\0"));
        (is_server && is_ours).then_some(pid)
    })
}

#[test]
fn a_killed_sandbox_is_noticed_and_started_again() {
    let lab = Lab::new();
    lab.ok(&["run", "a", "--", "sh", "-c", "echo kept > kept.txt"]);
    let id = lab.json(&["env", "show", "a"])["id"].as_str().unwrap().to_owned();
    let file = lab.home().join("sandboxes").join(id).join("pid");
    let instance: serde_json::Value =
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let pid = instance["init"]["pid"].as_i64().unwrap();
    // SAFETY: a signal to a process that this test's control plane started.
    assert_eq!(unsafe { libc::kill(i32::try_from(pid).unwrap(), libc::SIGKILL) }, 0);
    wait_until("it is noticed", || lab.json(&["env", "show", "a"])["state"] == "stopped");
    assert_eq!(lab.ok(&["run", "a", "--", "cat", "kept.txt"]), "kept\n");
}
