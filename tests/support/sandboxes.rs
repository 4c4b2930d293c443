//! Sandboxes as tests make and use them.

use serde_json::Value;

use super::http::{Answer, ask};
use super::{Done, Lab, wait_until};

/// Where the control plane listens.
#[derive(Debug, Clone)]
pub struct Addresses {
    pub listen: String,
    pub ingress: String,
    pub tls: String,
    pub ssh: String,
}

impl Lab {
    /// Makes a sandbox of the image `box` and gives its id.
    pub fn sandbox(&self, args: &[&str]) -> String {
        let made = self.json(&[&["sandbox", "create"], args].concat());
        made["id"].as_str().unwrap().to_owned()
    }

    /// What is known of a sandbox.
    pub fn show(&self, sandbox: &str) -> Value {
        self.json(&["sandbox", "show", sandbox])
    }

    /// `running`, `paused`, `stopped`, or `gone`.
    pub fn state(&self, sandbox: &str) -> String {
        let shown = self.run(&["sandbox", "show", sandbox, "--json"]);
        if shown.code == 3 {
            return "gone".to_owned();
        }
        let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
        shown["state"].as_str().unwrap().to_owned()
    }

    /// Runs a script of the shell in a sandbox.
    pub fn try_sh(&self, sandbox: &str, script: &str) -> Done {
        self.run(&["sandbox", "exec", sandbox, "--", "sh", "-c", script])
    }

    /// Runs a script of the shell in a sandbox; it must succeed. Gives its output.
    pub fn sh(&self, sandbox: &str, script: &str) -> String {
        self.ok(&["sandbox", "exec", sandbox, "--", "sh", "-c", script])
    }

    /// Starts a command in a sandbox that goes on by itself, and gives its number.
    pub fn detach(&self, sandbox: &str, script: &str) -> u32 {
        let args = ["sandbox", "exec", sandbox, "--detach", "--", "sh", "-c", script];
        self.ok(&args).trim().parse().unwrap()
    }

    /// Where the control plane listens; what was not asked for is empty.
    pub fn addresses(&self) -> Addresses {
        let status = self.json(&["status"]);
        let text = |name: &str| status[name].as_str().unwrap_or_default().to_owned();
        Addresses {
            listen: text("listen"),
            ingress: text("ingress"),
            tls: text("tls"),
            ssh: text("ssh"),
        }
    }

    /// Starts another control plane, which also serves the API over TCP; gives where.
    pub fn serve_tcp(&self) -> String {
        self.ok(&["stop"]);
        self.ok(&["serve", "--background", "--listen", "127.0.0.1:0"]);
        self.addresses().listen
    }

    /// Starts a web server in a sandbox with one page, `/`, and waits until it listens.
    pub fn web_server(&self, sandbox: &str, port: u16, page: &str) {
        self.sh(
            sandbox,
            &format!("mkdir -p /srv/{port}; printf '{page}' > /srv/{port}/index.html"),
        );
        self.detach(sandbox, &format!("exec httpd -f -p {port} -h /srv/{port}"));
        self.wait_for_port(sandbox, port);
    }

    /// A command whose sandbox is saved with its processes, which break its connections off, is followed to
    /// its end all the same, and nothing that it says is lost.
    pub fn follows_through_a_snapshot(&self, sandbox: &str) {
        let counts = "n=0; while [ $n -lt 60 ]; do n=$((n+1)); echo $n; sleep 0.05; done; exit 7";
        let mut followed = self.command(&["sandbox", "exec", sandbox, "--", "sh", "-c", counts]);
        let followed = followed.stdout(std::process::Stdio::piped()).spawn().unwrap();
        wait_until("it runs", || self.sh(sandbox, "ps").contains("sleep 0.05"));
        self.ok(&["sandbox", "snapshot", sandbox, "--memory"]);
        let done = followed.wait_with_output().unwrap();
        let counted: String = (1..=60).map(|n| format!("{n}\n")).collect();
        assert_eq!(String::from_utf8(done.stdout).unwrap(), counted);
        assert_eq!(done.status.code(), Some(7));
    }

    /// Waits until something listens on a port in a sandbox.
    pub fn wait_for_port(&self, sandbox: &str, port: u16) {
        wait_until("a port is open", || {
            let open = self.json(&["sandbox", "port", sandbox]);
            open.as_array().unwrap().iter().any(|one| one["port"] == port)
        });
    }

    /// Asks for `/` of a port in a sandbox, through the ingress.
    pub fn get_port(&self, sandbox: &str, port: u16, headers: &[(&str, &str)]) -> Answer {
        let host = format!("{port}-{sandbox}.localhost");
        ask(&self.addresses().ingress, "GET", "/", &[&[("Host", host.as_str())], headers].concat())
    }

    /// What those show who may reach a sandbox's ports.
    pub fn traffic_token(&self, sandbox: &str) -> String {
        self.show(sandbox)["traffic_token"].as_str().unwrap().to_owned()
    }
}

impl Lab {
    /// Kills the control plane and every process that the sandboxes' records name, as a machine that goes
    /// down does.
    pub fn kill_everything(&self) {
        let mut pids: Vec<i64> = self.control_plane().into_iter().map(i64::from).collect();
        for entry in std::fs::read_dir(self.home().join("sandboxes")).unwrap().flatten() {
            let record = std::fs::read(entry.path().join("pid")).unwrap_or_default();
            let record: Value = serde_json::from_slice(&record).unwrap_or_default();
            let named = record.as_object().into_iter().flat_map(|parts| parts.values());
            pids.extend(named.filter_map(|part| part["pid"].as_i64()));
        }
        for pid in pids.into_iter().map(|pid| i32::try_from(pid).unwrap()) {
            // SAFETY: signals to processes that this test started.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            // SAFETY: as above; signal 0 only asks whether it is there.
            wait_until("it is gone", || unsafe { libc::kill(pid, 0) } != 0);
        }
    }
}

/// Kills a sandbox's first process, as the kernel might.
pub fn kill_sandbox(lab: &Lab, sandbox: &str) {
    let found = std::fs::read_dir(lab.home().join("sandboxes")).unwrap().flatten();
    let folder = found
        .into_iter()
        .find(|entry| entry.file_name().to_string_lossy().replace('-', "") == sandbox);
    let bytes = std::fs::read(folder.unwrap().path().join("pid")).unwrap();
    let instance: Value = serde_json::from_slice(&bytes).unwrap();
    let pid = instance["init"]["pid"].as_i64().unwrap();
    // SAFETY: a signal to a process that this test started.
    assert_eq!(unsafe { libc::kill(i32::try_from(pid).unwrap(), libc::SIGKILL) }, 0);
}
