//! Drivers of virtual machine monitors.
//!
//! What lives here: how a machine is described, booted, paused, saved and copied with [`qemu`] or
//! [`firecracker`]; the kernel that it boots ([`kernel`]); its disks ([`layer`]). What must not:
//! sandboxes, images, the database, the network outside of the machine.
//!
//! # A machine's parts
//! - a kernel of this host and an initial RAM disk with the guest as init: [`Kernel::find`], then
//!   [`Kernel::prepare`], which is done once for each kernel and guest;
//! - a disk that holds the image and is never written to (EROFS or ext4), and a *layer disk*, ext4
//!   in a sparse file, for what the machine changes. The guest joins them;
//! - a folder of its own, with the monitor's sockets and the console's log.
//!
//! # The way in
//! QEMU: TCP over the machine's network link. Whoever starts the monitor holds the link's other end
//! (a datagram socket with one Ethernet frame in each datagram) and puts its descriptor's number in
//! place of [`qemu::LINK`] in the command. Firecracker: its vsock, see [`firecracker`].
//!
//! # The order of calls, with QEMU
//! ```no_run
//! # use std::path::Path;
//! # fn start(words: &[std::ffi::OsString], dir: &Path) {}
//! # fn f(cache: &Path, guest: &Path, base: &Path, dir: &Path) -> Result<(), atelier_vm::VmError> {
//! use atelier_vm::{Kernel, Machine, layer, qemu::{Qemu, Templates}};
//!
//! let boot = Kernel::find(None)?.prepare(guest, &cache.join("kernels"))?;
//! let qemu = Qemu::find(None)?;
//! let accelerator = qemu.choose(&boot, cache)?.accelerator;
//! let machine = Machine { cpus: 1, memory_mib: 256, port: 49983, mtu: 1500 };
//! // Warm: a copy of a machine that has booted already.
//! let templates = Templates::new(cache.join("templates"), cache.join("disks"));
//! let template = templates.get(&qemu, accelerator, &boot, base, 10 << 30, &machine)?;
//! let command = qemu.revive(&template, base, dir, Default::default())?;
//! start(&command, dir);
//! qemu.wake(&template, dir)?;
//! // Or cold:
//! layer::make(&dir.join("layer"), 10 << 30, &cache.join("disks"))?;
//! let command = qemu.boot(accelerator, &boot, base, dir, &machine, Default::default())?;
//! start(&command, dir);
//! qemu.wait_ready(dir, std::time::Duration::from_secs(60))?;
//! # Ok(()) }
//! ```
//! After either, the guest answers, and `POST /init` must give a copy its own time, hostname and
//! entropy. Every function of [`qemu`] blocks, most for milliseconds: call them from a thread that
//! may wait.

mod clock;
mod command;
mod error;
mod files;
pub mod firecracker;
pub mod kernel;
pub mod layer;
mod machine;
pub mod qemu;
mod saved;

pub use command::program;
pub use error::{Result, VmError};
pub use kernel::{BootFiles, Kernel};
pub use machine::Machine;
pub use saved::Saved;
