//! The TUN device's descriptor: whole packets in and out, without blocking.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

use super::control::watched;

/// The device. Each read and write is one packet.
pub(super) struct Tun {
    file: AsyncFd<File>,
}

impl Tun {
    /// Must be called inside the runtime, which watches the descriptor.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self { file: watched(fd)? })
    }

    /// Waits until a packet is there and reads it. Zero bytes mean that the device is gone.
    pub(super) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut guard = self.file.readable().await?;
            match guard.try_io(|file| file.get_ref().read(buffer)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                // The namespace took the device away.
                Ok(Err(error)) if error.raw_os_error() == Some(libc::EBADFD) => return Ok(0),
                Ok(result) => return result,
                Err(_would_block) => {}
            }
        }
    }

    /// Reads a packet if one is there.
    pub(super) fn try_read(&self, buffer: &mut [u8]) -> Option<usize> {
        self.file.get_ref().read(buffer).ok()
    }

    /// Writes a packet. One that the kernel does not take is lost, as on any wire: TCP sends it
    /// again, and the others expect it.
    pub(super) fn write(&self, packet: &[u8]) {
        let _ = self.file.get_ref().write(packet);
    }
}
