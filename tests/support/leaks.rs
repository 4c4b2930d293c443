//! What Atelier could leave on a machine, listed before and after.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Mounts, control groups, network devices, namespaces' processes and files that carry the mark of
/// one home folder.
#[derive(Debug, PartialEq, Eq)]
pub struct Traces(BTreeSet<String>);

impl Traces {
    /// Of the home at this path, except its own database, logs and unpacked binary.
    pub fn of(home: &Path) -> Self {
        let mut found = BTreeSet::new();
        let home_text = home.display().to_string();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        found.extend(
            mounts.lines().filter(|l| l.contains(&home_text)).map(|l| format!("mount {l}")),
        );
        found.extend(processes(&home_text));
        found.extend(groups());
        for folder in ["envs", "sandboxes", "snapshots"] {
            for entry in fs::read_dir(home.join(folder)).into_iter().flatten().flatten() {
                found.insert(format!("folder {}", entry.path().display()));
            }
        }
        for device in fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
            let name = device.file_name().to_string_lossy().into_owned();
            // Bridges and pairs are a container engine's, for tests that run beside this one.
            if !name.starts_with("br-") && !name.starts_with("veth") {
                found.insert(format!("network device {name}"));
            }
        }
        Self(found)
    }

    /// Waits until the home has left no more than these, and says what is too much.
    pub fn wait_until_nothing_more(&self, home: &Path) {
        let begin = std::time::Instant::now();
        loop {
            let now = Self::of(home);
            let left: Vec<&String> = now.0.difference(&self.0).collect();
            if left.is_empty() {
                return;
            }
            assert!(begin.elapsed() < super::PATIENCE, "left behind: {left:#?}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// Sandboxes run the unpacked guest, whose path lies in the home.
fn processes(home: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            (line.contains(home) && line.contains("atelier-guest"))
                .then(|| format!("process {pid} {line}"))
        })
        .collect()
}

fn groups() -> Vec<String> {
    let mut found = Vec::new();
    for controller in ["", "memory", "cpu", "pids"] {
        let root = Path::new("/sys/fs/cgroup").join(controller);
        for group in fs::read_dir(root).into_iter().flatten().flatten() {
            if !group.file_name().to_string_lossy().starts_with("atelier-") {
                continue;
            }
            for sandbox in fs::read_dir(group.path()).into_iter().flatten().flatten() {
                if sandbox.file_type().is_ok_and(|t| t.is_dir()) {
                    found.push(format!("control group {}", sandbox.path().display()));
                }
            }
        }
    }
    found
}
