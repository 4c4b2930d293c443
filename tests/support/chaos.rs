//! What it takes to kill a control plane at random moments.

use super::{Lab, python, wait_until};

/// Small and quick, and different every time; the seed is printed.
pub struct Dice(u64);

impl Dice {
    /// Says its seed, which `ATELIER_TEST_SEED` sets.
    pub fn new() -> Self {
        let seed = std::env::var("ATELIER_TEST_SEED").ok().and_then(|s| s.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) * 0x9e37_79b9 + 1);
        println!("ATELIER_TEST_SEED={seed}");
        Self(seed)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        // xorshift64, Marsaglia 2003
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Kills the lab's control plane.
pub fn kill_control_plane(lab: &Lab) {
    let pid = lab.control_plane().unwrap();
    // SAFETY: no pointers are passed; the process is this lab's own control plane.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    // SAFETY: as above; signal 0 only asks whether it is there.
    wait_until("the control plane is gone", || unsafe { libc::kill(pid, 0) } != 0);
}

/// Writes a job into the journal of a home that nobody serves, as a kill leaves it.
pub fn leave_job(lab: &Lab, kind: &str, subject: &str, step: &str) {
    assert!(serving(lab).is_none(), "the journal is in use");
    let database = lab.home().join("state.db");
    let script = format!(
        "import sqlite3, uuid\n\
         db = sqlite3.connect('{}')\n\
         db.execute(\"INSERT INTO jobs (id, kind, subject, payload, state, step, started_at) VALUES \
         (?, '{kind}', '{subject}', '\\\"\\\"', 'running', '{step}', '2026-01-01T00:00:00Z')\", \
         (str(uuid.uuid4()),))\n\
         db.commit()",
        database.display()
    );
    python(lab, &script);
}

/// The control plane's process by its lock, without starting one.
pub fn serving(lab: &Lab) -> Option<i32> {
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
