//! A launcher whose sandboxes serve one shell script: `/bin/sh -c SCRIPT`, as a child of PID 1.
//!
//! The spec comes as JSON on standard input, the report goes to standard output, the script is
//! the first argument. Its output is kept in the sandbox's `log`; a file named `done` in the
//! directory given as the second argument (a path inside) gets the script's exit code. PID 1 then
//! waits until it is killed if the third argument is `stay`.

use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, ExitCode};

use atelier_launch::{Hooks, Served, receive_fd, run};

fn loopback_up() -> io::Result<()> {
    // SAFETY: plain socket calls on a request that lives on the stack.
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as _;
        request.ifr_name[1] = b'o' as _;
        request.ifr_ifru.ifru_flags = libc::IFF_UP as _;
        let done = libc::ioctl(fd, libc::SIOCSIFFLAGS, &raw const request);
        let error = io::Error::last_os_error();
        libc::close(fd);
        if done < 0 { Err(error) } else { Ok(()) }
    }
}

fn tun() -> io::Result<OwnedFd> {
    let device = std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    // SAFETY: the request lives on the stack.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as _;
        if libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF as _, &raw const request) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(device.into())
}

fn netstack(mut line: UnixStream, _control: UnixListener) {
    let device = receive_fd(&line);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let powers = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap_or("?");
    eprintln!("netstack got a device: {}, capabilities {powers}", matches!(device, Ok(Some(_))));
    let mut rest = Vec::new();
    drop(line.read_to_end(&mut rest));
}

fn serve(served: Served) {
    let mut args = std::env::args().skip(1);
    let (script, done) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
    let status = Command::new("/bin/sh").arg("-c").arg(script).status();
    let code = status.map_or(-1, |status| status.code().unwrap_or(-2));
    if !done.is_empty() {
        drop(std::fs::write(format!("{done}/done.new"), format!("{code}\n")));
        drop(std::fs::rename(format!("{done}/done.new"), format!("{done}/done")));
    }
    let Served { listener } = served;
    if args.next().as_deref() == Some("stay") {
        listener.incoming().for_each(drop);
    }
}

fn main() -> ExitCode {
    let hooks = Hooks { netstack: &netstack, tun: &tun, loopback: &loopback_up, serve: &serve };
    ExitCode::from(run(io::stdin(), io::stdout(), &hooks))
}
