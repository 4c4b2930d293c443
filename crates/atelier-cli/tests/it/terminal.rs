//! `atelier run` and `atelier sandbox exec` at a terminal: a pseudo-terminal stands for the user's.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use atelier_api::session::{TerminalSize, ToServer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::machine::Machine;
use crate::support::{Home, Plane};

/// A terminal: the side of the person, and the side of programs.
struct Terminal {
    person: File,
    programs: OwnedFd,
}

impl Terminal {
    fn new() -> Self {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap();
        let programs =
            rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty())
                .unwrap();
        let terminal = Self { person: File::from(person), programs };
        terminal.resize(30, 100);
        terminal
    }

    fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.programs, size).unwrap();
    }

    /// Starts a command in a session of its own whose terminal this is.
    fn spawn(&self, command: &Command) -> Child {
        let mut apart = Command::new("setsid");
        apart.arg("--ctty").arg(command.get_program()).args(command.get_args()).env_clear();
        apart.envs(command.get_envs().filter_map(|(n, v)| Some((n, v?))));
        apart.current_dir(command.get_current_dir().unwrap());
        let side = || Stdio::from(self.programs.try_clone().unwrap());
        apart.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap()
    }

    fn is_raw(&self) -> bool {
        let modes = tcgetattr(&self.programs).unwrap().local_modes;
        !modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Fails, with what came instead, when nothing more comes for a long time.
    fn read_until(&mut self, word: &str) {
        let (mut seen, mut byte) = (Vec::new(), [0]);
        let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
        while !seen.ends_with(word.as_bytes()) {
            let came = poll(&mut [PollFd::new(&self.person, PollFlags::IN)], Some(&patience));
            let so_far = String::from_utf8_lossy(&seen);
            assert_eq!(came, Ok(1), "{word:?} did not come, but {so_far:?}");
            self.person.read_exact(&mut byte).unwrap();
            seen.push(byte[0]);
        }
    }
}

fn start(home: &Home, terminal: &Terminal, script: &str) -> Child {
    terminal.spawn(&home.atelier(&["run", "a", "--", "sh", "-c", script]))
}

fn wait_for(home: &Home, what: impl Fn(&ToServer) -> bool) {
    for _ in 0..2000 {
        if home.plane.words.lock().unwrap().iter().any(&what) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("it was never said: {:?}", home.plane.words.lock().unwrap());
}

#[test]
fn keys_go_to_the_command_and_the_terminal_comes_back() {
    let home = Home::new(Plane::default());
    let mut terminal = Terminal::new();
    let mut child = start(&home, &terminal, "echo ready; head -c 4 | od -An -c; exit 5");
    terminal.read_until("ready\n");
    assert!(terminal.is_raw());
    // Ctrl-C is a key like any other: the terminal of the command makes a signal of it.
    terminal.person.write_all(b"a\x03\rb").unwrap();
    terminal.read_until("a 003  \\r   b");
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert!(!terminal.is_raw());
    let hellos = home.plane.hellos.lock().unwrap();
    let size = TerminalSize { rows: 30, columns: 100 };
    assert!(matches!(&hellos[0], ToServer::Start(s) if s.terminal == Some(size) && s.stdin));
}

#[test]
fn a_new_size_is_passed_on() {
    let home = Home::new(Plane::default());
    let mut terminal = Terminal::new();
    let mut child = start(&home, &terminal, "echo ready; head -c 1 > /dev/null");
    terminal.read_until("ready\n");
    terminal.resize(50, 132);
    let size = TerminalSize { rows: 50, columns: 132 };
    wait_for(&home, |word| matches!(word, ToServer::Resize(s) if *s == size));
    terminal.person.write_all(b"x").unwrap();
    child.wait().unwrap();
}

#[test]
fn a_signal_ends_it_and_the_terminal_comes_back() {
    let home = Home::new(Plane::default());
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let mut terminal = Terminal::new();
        let mut child = start(&home, &terminal, "echo ready; exec sleep 60");
        terminal.read_until("ready\n");
        assert!(terminal.is_raw());
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert!(!terminal.is_raw());
    }
}

#[test]
fn without_a_terminal_at_both_ends_there_is_none() {
    let home = Home::new(Plane::default());
    let mut terminal = Terminal::new();
    let command = home.atelier(&["run", "a", "-T", "--", "sh", "-c", "echo ready; cat"]);
    let mut child = terminal.spawn(&command);
    terminal.read_until("ready\r\n");
    assert!(!terminal.is_raw());
    terminal.person.write_all(b"line\n\x04").unwrap();
    terminal.read_until("line\r\nline\r\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_command_in_a_sandbox_has_a_terminal_of_this_size() {
    let machine = Machine::new();
    let mut terminal = Terminal::new();
    let script =
        "stty size; trap 'stty size; exit 5' WINCH; echo ready; while :; do sleep 0.01; done";
    let command = machine.atelier(&["sandbox", "exec", "dev", "--", "sh", "-c", script]);
    let mut child = terminal.spawn(&command);
    terminal.read_until("30 100\r\nready\r\n");
    assert!(terminal.is_raw());
    terminal.resize(50, 132);
    terminal.read_until("50 132\r\n");
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert!(!terminal.is_raw());
}

#[test]
fn keys_reach_a_sandbox_and_an_interrupt_is_one_of_them() {
    let machine = Machine::new();
    let mut terminal = Terminal::new();
    let script = "trap 'echo interrupted; exit 6' INT; echo ready; read line; echo got $line; \
                  while :; do sleep 0.01; done";
    let command = machine.atelier(&["sandbox", "exec", "dev", "--", "sh", "-c", script]);
    let mut child = terminal.spawn(&command);
    terminal.read_until("ready\r\n");
    terminal.person.write_all(b"word\r").unwrap();
    terminal.read_until("got word\r\n");
    terminal.person.write_all(b"\x03").unwrap();
    terminal.read_until("interrupted\r\n");
    assert_eq!(child.wait().unwrap().code(), Some(6));
    assert!(!terminal.is_raw());
}

#[test]
fn a_shell_opens_in_a_sandbox() {
    let machine = Machine::new();
    let mut terminal = Terminal::new();
    let mut child = terminal.spawn(&machine.atelier(&["sandbox", "shell", "dev"]));
    terminal.person.write_all(b"echo $((6*7)).; exit 3\r").unwrap();
    terminal.read_until("42.");
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn a_hang_up_reaches_the_command_in_the_sandbox() {
    let machine = Machine::new();
    let mut terminal = Terminal::new();
    let script = "trap 'echo > hung-up; exit' HUP; echo ready; while :; do sleep 0.01; done";
    let command = machine.atelier(&["sandbox", "exec", "dev", "--", "sh", "-c", script]);
    let mut child = terminal.spawn(&command);
    terminal.read_until("ready\r\n");
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(129));
    for _ in 0..2000 {
        if machine.inside("hung-up").exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("nobody told the command");
}
