//! The descriptor of the link: packets in and out, without blocking. On an Ethernet link the
//! headers come and go here; nothing else of the stack knows of them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};

use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use super::control::watched;
use super::counters::Counters;
use super::ethernet::{Ethernet, Frame, HEADER};
use super::fragments::Fragments;
use super::pace::Pace;
use crate::{Addresses, Link};

/// Frames that may wait for a link which takes no more. Those beyond are lost, as on any wire.
const MAX_WAITING: usize = 256;

/// The stack's end of the link.
pub(super) struct Port {
    file: AsyncFd<File>,
    ethernet: Option<Ethernet>,
    mtu: u16,
    pub(super) fragments: Fragments,
    pub(super) counters: Counters,
    /// Frames that the link did not take yet; a TUN device takes or drops each at once.
    waiting: RefCell<VecDeque<Vec<u8>>>,
    /// Whether some wait.
    full: Cell<bool>,
    stuck: Notify,
    room: Notify,
    /// How fast the sandbox may send and receive.
    pace: Option<(Pace, Pace)>,
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// A packet of this many bytes, at the buffer's start.
    Packet(usize),
    /// A frame that is dealt with.
    Other,
    /// The link is gone.
    Gone,
}

impl Port {
    /// Must be called inside the runtime, which watches the descriptor. With `rate` as many bytes pass
    /// in a second, each way.
    pub(super) fn new(link: Link, rate: Option<u64>) -> io::Result<Self> {
        let (file, ethernet, mtu) = match link {
            Link::Ip(tun) => (watched(tun)?, None, Addresses::MTU),
            Link::Ethernet { device, mtu } => (watched(device)?, Some(Ethernet::new()), mtu),
        };
        Ok(Self {
            file,
            ethernet,
            mtu,
            fragments: Fragments::default(),
            counters: Counters::default(),
            waiting: RefCell::default(),
            full: Cell::new(false),
            stuck: Notify::new(),
            room: Notify::new(),
            pace: rate.map(|rate| (Pace::new(rate), Pace::new(rate))),
        })
    }

    /// The longest IP packet.
    pub(super) fn mtu(&self) -> usize {
        usize::from(self.mtu)
    }

    /// Waits until something is there and reads it.
    pub(super) async fn read(&self, buffer: &mut [u8]) -> io::Result<Arrival> {
        if let Some((sent, _)) = &self.pace {
            // What is not read waits in the sandbox.
            sent.ready().await;
        }
        loop {
            let mut guard = self.file.readable().await?;
            match guard.try_io(|_| self.take(buffer)) {
                Ok(Err(error)) if passes(&error) => {}
                Ok(Err(error)) if gone(&error) => return Ok(Arrival::Gone),
                Ok(result) => return result,
                Err(_would_block) => {}
            }
        }
    }

    /// Reads what is there, if anything is.
    pub(super) fn try_read(&self, buffer: &mut [u8]) -> Option<Arrival> {
        let may = self.pace.as_ref().is_none_or(|(sent, _)| sent.is_ready());
        may.then(|| self.take(buffer).ok()).flatten()
    }

    fn take(&self, buffer: &mut [u8]) -> io::Result<Arrival> {
        let arrival = match &self.ethernet {
            None => match self.file.get_ref().read(buffer)? {
                0 => Arrival::Gone,
                length => Arrival::Packet(length),
            },
            Some(ethernet) => self.take_frame(ethernet, buffer)?,
        };
        if let Arrival::Packet(length) = arrival {
            self.counters.sent(length);
            if let Some((sent, _)) = &self.pace {
                sent.passed(length);
            }
        }
        Ok(arrival)
    }

    fn take_frame(&self, ethernet: &Ethernet, buffer: &mut [u8]) -> io::Result<Arrival> {
        let mut header = [0; HEADER];
        let mut parts = [IoSliceMut::new(&mut header), IoSliceMut::new(buffer)];
        let read = self.file.get_ref().read_vectored(&mut parts)?;
        let Some(length) = read.checked_sub(HEADER) else {
            return Ok(if read == 0 { Arrival::Gone } else { Arrival::Other });
        };
        match ethernet.read(&header, buffer.get(..length).unwrap_or_default()) {
            Frame::Packet => Ok(Arrival::Packet(length)),
            Frame::Question(answer) => {
                self.put(Some(ethernet.arp_header()), &answer);
                Ok(Arrival::Other)
            }
            Frame::Other => Ok(Arrival::Other),
        }
    }

    /// Writes a packet. One that is lost is lost as on any wire: TCP sends it again, and the others
    /// expect it.
    pub(super) fn write(&self, packet: &[u8]) {
        self.counters.received(packet.len());
        match &self.ethernet {
            // A TUN device takes or drops each at once, unless packets are held back here.
            None if self.pace.is_some() => self.put(None, packet),
            None => drop(self.file.get_ref().write(packet)),
            Some(ethernet) if packet.len() <= self.mtu() => {
                self.put(Some(ethernet.header(packet)), packet);
            }
            Some(ethernet) => {
                for piece in self.fragments.cut(packet, self.mtu()) {
                    self.put(Some(ethernet.header(&piece)), &piece);
                }
            }
        }
    }

    /// Whether what is written may get lost beyond the link without anybody saying so.
    pub(super) fn loses(&self) -> bool {
        self.ethernet.is_some()
    }

    /// Whether frames wait for the link. Who can wait too should.
    pub(super) fn is_full(&self) -> bool {
        self.full.get()
    }

    /// Returns when the frames that wait now have gone.
    pub(super) async fn room(&self) {
        self.room.notified().await;
    }

    /// Sends what waits whenever the link takes it. Does not end while the link lives.
    pub(super) async fn drain(&self) -> io::Result<()> {
        loop {
            self.stuck.notified().await;
            while self.is_full() {
                if let Some((_, received)) = &self.pace {
                    received.ready().await;
                }
                let mut guard = self.file.writable().await?;
                let _ = guard.try_io(|_| self.send_waiting());
            }
            self.room.notify_waiters();
        }
    }

    fn put(&self, header: Option<[u8; HEADER]>, payload: &[u8]) {
        let header = header.as_ref().map_or(&[][..], |header| header);
        if self.is_full() || !self.may_receive() {
            return self.wait(header, payload);
        }
        let parts = [IoSlice::new(header), IoSlice::new(payload)];
        match self.file.get_ref().write_vectored(&parts) {
            Err(error) if blocks(&error) => self.wait(header, payload),
            // Sent, or lost.
            Err(_) | Ok(_) => self.received(payload.len()),
        }
    }

    fn may_receive(&self) -> bool {
        self.pace.as_ref().is_none_or(|(_, received)| received.is_ready())
    }

    fn received(&self, bytes: usize) {
        if let Some((_, received)) = &self.pace {
            received.passed(bytes);
        }
    }

    fn wait(&self, header: &[u8], payload: &[u8]) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() < MAX_WAITING {
            waiting.push_back([header, payload].concat());
        }
        if !self.full.replace(true) {
            self.stuck.notify_one();
        }
    }

    fn send_waiting(&self) -> io::Result<()> {
        let mut waiting = self.waiting.borrow_mut();
        while let Some(frame) = waiting.front() {
            if !self.may_receive() {
                // The link would take it.
                return Ok(());
            }
            match self.file.get_ref().write(frame) {
                Err(error) if blocks(&error) => return Err(io::ErrorKind::WouldBlock.into()),
                _ => {
                    self.received(frame.len());
                    waiting.pop_front();
                }
            }
        }
        self.full.set(false);
        Ok(())
    }
}

/// Whether a later read may well succeed: the device is down for now, or the kernel dropped frames.
fn passes(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::ENETDOWN | libc::ENOBUFS))
}

/// Whether the namespace took the device away, or the other end of a pair was closed.
fn gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EBADFD | libc::ECONNRESET))
}

fn blocks(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
