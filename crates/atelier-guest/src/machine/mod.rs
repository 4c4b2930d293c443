//! The guest as init of a virtual machine: from the kernel's first process to serving.
//!
//! Runs from the initial RAM disk. What it needs to know stands on the kernel's command line
//! (`settings.rs`), which everybody inside can read: no secret is ever passed that way. The way in
//! is TCP over the machine's network link, or vsock. What must not live here: anything about who
//! runs the machine, or how.

mod disks;
mod modules;
mod network;
mod power;
mod renew;
mod root;
mod settings;
mod system;
mod warm;

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

pub use renew::{rename, reseed};
use settings::Settings;

use crate::{Listener, ServeOptions, serve_on};

/// What the console shows when connections are accepted.
pub const READY: &str = "atelier: ready";
/// What the console shows when a machine without disks has booted, just before it goes off.
pub const TRIAL: &str = "atelier: trial passed";
/// What the console shows, with the reason after it, when the machine can't be set up.
pub const FAILED: &str = "atelier: failed: ";

/// Whether this process is the first of a machine that was told to run it as `init`. The word need
/// not be the first: the kernel passes on what it doesn't know of its command line.
#[must_use]
pub fn is_init() -> bool {
    std::process::id() == 1 && std::env::args().skip(1).any(|word| word == "init")
}

/// Sets the machine up, serves until it is told to end, and turns it off. Never returns.
#[must_use]
pub fn init() -> u8 {
    let early = system::early();
    let settings = Settings::read();
    let done = early.and_then(|()| run(&settings));
    if let Err(error) = done {
        println!("{FAILED}{error}");
    }
    power::off(settings.off)
}

fn run(settings: &Settings) -> io::Result<()> {
    modules::load("core")?;
    if settings.trial {
        println!("{TRIAL}");
        return Ok(());
    }
    if settings.vsock.is_some() {
        modules::load("vsock")?;
    }
    let upper = root::enter(&disks::find(settings)?)?;
    system::late(settings)?;
    network::configure(settings);
    let listener = listen(settings)?;
    let spool = Path::new(system::SPOOL);
    let options = ServeOptions {
        spool: spool.is_dir().then(|| spool.to_owned()),
        layer: Some(upper.into()),
        set_clock: true,
        reap_all: true,
        ..ServeOptions::default()
    };
    if settings.warm {
        warm::up();
    }
    println!("{READY}");
    serve_on(listener, options)
}

fn listen(settings: &Settings) -> io::Result<Listener> {
    match settings.vsock {
        Some(port) => Listener::vsock(port),
        None => TcpListener::bind((Ipv4Addr::UNSPECIFIED, settings.port)).map(Listener::Tcp),
    }
    .map_err(named("listening"))
}

/// An error with what was tried before it.
fn named(what: impl Into<String>) -> impl FnOnce(io::Error) -> io::Error {
    let what = what.into();
    move |error| io::Error::new(error.kind(), format!("{what} failed: {error}"))
}
