//! A session with a monitor, in QEMU's machine protocol: one JSON object on each line.

use std::fs::File;
use std::io::{BufRead as _, BufReader, IoSlice, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessage, MsgFlags, getsockopt, sendmsg, sockopt};
use serde_json::{Value, json};

use super::SOCKET;
use crate::VmError;
use crate::error::Result;

/// A monitor answers within milliseconds, unless its host is overloaded.
const PATIENCE: Duration = Duration::from_secs(30);
/// A starting monitor binds its socket within this time.
const START: Duration = Duration::from_secs(20);
/// As fast as the disk takes it: bytes for each second.
const NO_LIMIT: u64 = 64 << 30;

/// A session. A monitor has one at a time; others wait.
#[derive(Debug)]
pub(super) struct Qmp {
    reader: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects to the monitor of the machine in `dir`.
    pub(super) fn connect(dir: &Path) -> Result<Self> {
        let stream = open(dir).map_err(|error| VmError::Machine {
            what: "does not answer",
            why: format!("its monitor's socket in {}: {error}", dir.display()),
        })?;
        let mut session = Self { reader: BufReader::new(stream) };
        session.line("the greeting")?;
        session.call("qmp_capabilities", None)?;
        Ok(session)
    }

    /// The same for a monitor that may be starting.
    pub(super) fn connect_soon(
        dir: &Path,
        mut ended: impl FnMut() -> Option<String>,
    ) -> Result<Self> {
        let until = Instant::now() + START;
        loop {
            match Self::connect(dir) {
                Err(error) if Instant::now() < until => match ended() {
                    Some(how) => {
                        return Err(VmError::Machine { what: "did not start", why: how });
                    }
                    None => drop(error),
                },
                other => return other,
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The monitor's process.
    pub(super) fn peer(&self) -> Result<i32> {
        let asked = getsockopt(self.reader.get_ref(), sockopt::PeerCredentials);
        asked.map(|peer| peer.pid()).map_err(|error| lost("connecting", error.desc()))
    }

    /// Has processors and devices, without memory, written to a new file in the monitor's folder. The
    /// machine stands still, and keeps its disks.
    pub(super) fn devices_to(&mut self, name: &str) -> Result<()> {
        let arguments = json!({ "filename": name, "live": true });
        self.call("xen-save-devices-state", Some(&arguments)).map(drop)
    }

    /// Gives a command, and the value that it returns.
    pub(super) fn call(&mut self, command: &str, arguments: Option<&Value>) -> Result<Value> {
        self.send(command, arguments, None)?;
        self.answer(command)
    }

    /// Hands a file over, under a name that `fd:NAME` means afterwards.
    pub(super) fn give(&mut self, name: &str, file: &File) -> Result<()> {
        let arguments = json!({ "fdname": name });
        self.send("getfd", Some(&arguments), Some(file))?;
        self.answer("getfd").map(drop)
    }

    /// Writes the machine's state to a file. With `shared`, memory that is in a file is left out.
    pub(super) fn migrate_to(&mut self, file: &File, shared: bool) -> Result<()> {
        self.prepare_migration(shared)?;
        self.give("state", file)?;
        self.call("migrate", Some(&json!({ "uri": "fd:state" })))?;
        self.wait_migrated()
    }

    /// Reads the machine's state from a file, into a monitor that waits for it.
    pub(super) fn migrate_from(&mut self, file: &File, shared: bool) -> Result<()> {
        self.prepare_migration(shared)?;
        self.give("state", file)?;
        self.call("migrate-incoming", Some(&json!({ "uri": "fd:state" })))?;
        let until = Instant::now() + PATIENCE;
        loop {
            let status = self.call("query-status", None)?;
            if status["status"] != "inmigrate" {
                return Ok(());
            }
            self.still("migrate-incoming", until)?;
        }
    }

    fn prepare_migration(&mut self, shared: bool) -> Result<()> {
        let capabilities = json!([{ "capability": "x-ignore-shared", "state": shared }]);
        self.call("migrate-set-capabilities", Some(&json!({ "capabilities": capabilities })))?;
        self.call("migrate-set-parameters", Some(&json!({ "max-bandwidth": NO_LIMIT }))).map(drop)
    }

    fn wait_migrated(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let info = self.call("query-migrate", None)?;
            match info["status"].as_str() {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => {
                    let why = info["error-desc"].as_str().unwrap_or("no reason given");
                    return Err(refused("migrate", why));
                }
                _ => self.still("migrate", until)?,
            }
        }
    }

    fn still(&self, what: &str, until: Instant) -> Result<()> {
        if Instant::now() > until {
            return Err(refused(what, "it did not come to an end"));
        }
        std::thread::sleep(Duration::from_millis(1));
        Ok(())
    }

    /// From now on keeps the console's last bytes in memory, and nothing of it in a file.
    pub(super) fn keep_console(&mut self, bytes: u64) -> Result<()> {
        let backend = json!({ "type": "ringbuf", "data": { "size": bytes } });
        let arguments = json!({ "id": "console", "backend": backend });
        self.call("chardev-change", Some(&arguments)).map(drop)
    }

    /// Takes what the console keeps.
    pub(super) fn read_console(&mut self, bytes: u64) -> Result<String> {
        let arguments = json!({ "device": "console", "size": bytes });
        let text = self.call("ringbuf-read", Some(&arguments))?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    fn send(
        &mut self,
        command: &str,
        arguments: Option<&Value>,
        file: Option<&File>,
    ) -> Result<()> {
        let mut message = json!({ "execute": command });
        if let Some(arguments) = arguments {
            message["arguments"] = arguments.clone();
        }
        let text = format!("{message}\n");
        let stream = self.reader.get_mut();
        let sent = match file {
            None => stream.write_all(text.as_bytes()),
            Some(file) => {
                let fds = [file.as_raw_fd()];
                let bytes = [IoSlice::new(text.as_bytes())];
                let control = [ControlMessage::ScmRights(&fds)];
                let none: Option<&()> = None;
                // A line of a hundred bytes goes out whole or not at all.
                sendmsg(stream.as_raw_fd(), &bytes, &control, MsgFlags::empty(), none)
                    .map(drop)
                    .map_err(Into::into)
            }
        };
        sent.map_err(|error| lost(command, &error.to_string()))
    }

    fn answer(&mut self, command: &str) -> Result<Value> {
        loop {
            let mut message = self.line(command)?;
            if let Some(why) = message["error"]["desc"].as_str() {
                return Err(refused(command, why));
            }
            // Events come at any time.
            if message.get("return").is_some() {
                return Ok(message["return"].take());
            }
        }
    }

    fn line(&mut self, command: &str) -> Result<Value> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line);
        match read {
            Err(error) => Err(lost(command, &error.to_string())),
            Ok(0) => Err(lost(command, "it has ended")),
            Ok(_) => serde_json::from_str(&line).map_err(|error| lost(command, &error.to_string())),
        }
    }
}

/// The path may be longer than a socket's address can hold, so it goes by its folder's descriptor.
fn open(dir: &Path) -> std::io::Result<UnixStream> {
    let folder = File::open(dir)?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn refused(command: &str, why: &str) -> VmError {
    VmError::Refused { monitor: "QEMU", request: command.to_owned(), why: why.to_owned() }
}

fn lost(command: &str, why: &str) -> VmError {
    VmError::Machine { what: "lost its monitor", why: format!("at {command}: {why}") }
}
