//! A program that has been loaded outside goes on inside: it is stopped where its own code
//! begins, when the loader has mapped every library, and made to enter a mount namespace.

use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::error::{At as _, LaunchError, Result};

const STEP: &str = "take CRIU into the sandbox";
/// `AT_ENTRY` of getauxval(3).
const AT_ENTRY: u64 = 9;

/// Takes a child that has asked to be traced, and executes a program, into the mounts.
#[cfg(target_arch = "x86_64")]
pub(super) fn into(child: Pid, mounts: &OwnedFd) -> Result<()> {
    // `syscall`, and a stop after it.
    const CALL: u64 = 0xCC_05_0F;
    const STOP: u64 = 0xCC;
    stopped(child)?; // at the new program
    let entry = entry(child)?;
    let address = entry as ptrace::AddressType;
    let word = ptrace::read(child, address).step(STEP)?;
    let with = |code: u64, bytes: u32| {
        let mask = (1_u64 << (8 * bytes)) - 1;
        ((word as u64 & !mask) | code) as i64
    };
    ptrace::write(child, address, with(STOP, 1)).step(STEP)?;
    ptrace::cont(child, None).step(STEP)?;
    stopped(child)?;
    let mut before = ptrace::getregs(child).step(STEP)?;
    before.rip = entry;
    let mut call = before;
    call.rax = libc::SYS_setns as u64;
    call.rdi = mounts.as_raw_fd() as u64;
    call.rsi = libc::CLONE_NEWNS as u64;
    ptrace::write(child, address, with(CALL, 3)).step(STEP)?;
    ptrace::setregs(child, call).step(STEP)?;
    ptrace::cont(child, None).step(STEP)?;
    stopped(child)?;
    let answer = ptrace::getregs(child).step(STEP)?.rax as i64;
    ptrace::write(child, address, word).step(STEP)?;
    ptrace::setregs(child, before).step(STEP)?;
    if answer < 0 {
        let errno = i32::try_from(-answer).unwrap_or(libc::EIO);
        return Err(std::io::Error::from_raw_os_error(errno)).step(STEP);
    }
    ptrace::detach(child, None).step(STEP)
}

/// Elsewhere nobody has written it.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn into(_child: Pid, _mounts: &OwnedFd) -> Result<()> {
    Err(LaunchError::new(STEP, "that is built for x86_64 only"))
}

#[cfg(target_arch = "x86_64")]
fn stopped(child: Pid) -> Result<()> {
    match waitpid(child, None).step(STEP)? {
        WaitStatus::Stopped(_, Signal::SIGTRAP) => Ok(()),
        other => Err(LaunchError::new(STEP, format!("it did not stop: {other:?}"))),
    }
}

/// Where its own code begins.
#[cfg(target_arch = "x86_64")]
fn entry(child: Pid) -> Result<u64> {
    let bytes = std::fs::read(format!("/proc/{child}/auxv")).step(STEP)?;
    let words: Vec<u64> = bytes
        .chunks_exact(8)
        .filter_map(|chunk| chunk.try_into().ok().map(u64::from_ne_bytes))
        .collect();
    let mut pairs = words.chunks_exact(2);
    let found = pairs.find(|pair| pair.first() == Some(&AT_ENTRY));
    let entry = found.and_then(|pair| pair.get(1)).copied();
    entry.ok_or_else(|| LaunchError::new(STEP, "it has no entry"))
}
