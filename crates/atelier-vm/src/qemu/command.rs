//! Command lines of QEMU.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use atelier_api::sandbox::Rates;
use atelier_net::Addresses;

use super::state::{Kept, MEMORY};
use super::{Accelerator, Qemu};
use crate::VmError;
use crate::error::Result;
use crate::kernel::BootFiles;
use crate::machine::{Machine, command_line, mac};
use crate::saved::Note;

/// In a command's words, what stands for the descriptor of the network link: a connected datagram
/// socket, with an Ethernet frame in each datagram.
pub const LINK: &str = "{link}";
/// The console's log in a machine's folder, until it is ready.
pub const CONSOLE: &str = "console.log";
/// The layer disk in a machine's folder.
pub const LAYER: &str = "layer";
/// The monitor's socket in a machine's folder.
pub const SOCKET: &str = "qmp.sock";

/// The name of what holds both disks to their rate.
const GROUP: &str = "rates";
/// What QEMU may keep of translated code in MiB; without a limit it is up to 1 GiB for each
/// machine. It is most of what an idle one has for itself; with less than a first command needs,
/// that one is translated twice.
const TRANSLATED: u32 = 20;

/// Where a machine's memory is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Memory<'a> {
    /// In the monitor's own.
    Own,
    /// In a file, which follows it.
    File(&'a Path),
    /// In the monitor's own, but for what the file has and nobody changed yet.
    CopyOf(&'a Path),
}

/// What a command is for.
pub(super) struct Request<'a> {
    pub accelerator: Accelerator,
    pub machine: &'a Machine,
    /// The kernel with its command line; none for a machine that is revived.
    pub boot: Option<(&'a BootFiles, String)>,
    pub memory: Memory<'a>,
    pub base: Option<&'a Path>,
    pub dir: &'a Path,
    /// Whether there is a network link. Without one the device is there, and leads nowhere.
    pub link: bool,
    /// How fast its disks may be, both together. The link is as fast as whoever holds its other end.
    pub rates: Rates,
}

impl Qemu {
    /// The command that boots a machine in `dir`, where its layer disk must be ([`LAYER`]), held to
    /// these rates. To be run in `dir`, with [`LINK`] replaced. Notes in `dir` what the machine is, for
    /// [`Self::save`].
    ///
    /// # Errors
    /// When the note can't be written.
    pub fn boot(
        &self,
        accelerator: Accelerator,
        boot: &BootFiles,
        base: &Path,
        dir: &Path,
        machine: &Machine,
        rates: Rates,
    ) -> Result<Vec<OsString>> {
        forget_last(dir)?;
        Note::of(self, accelerator, machine, Kept::Stream).write(dir)?;
        Ok(self.words(&Request {
            accelerator,
            machine,
            boot: Some((boot, boot_line(boot, accelerator, machine))),
            memory: Memory::Own,
            base: Some(base),
            dir,
            link: true,
            rates,
        }))
    }

    pub(super) fn words(&self, request: &Request<'_>) -> Vec<OsString> {
        let mut words = Words(vec![self.program.clone().into()]);
        words.add("-nodefaults -no-user-config -display none -no-reboot");
        if self.seccomp {
            let deny = "obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";
            words.add("-sandbox").add(&format!("on,{deny}"));
        }
        let machine = request.machine;
        words
            .add(
                "-machine microvm,acpi=on,pcie=off,usb=off,x-option-roms=off,memory-backend=memory",
            )
            .add(match request.accelerator {
                Accelerator::Kvm => "-accel kvm -cpu host",
                Accelerator::Tcg => "-accel",
            });
        if request.accelerator == Accelerator::Tcg {
            words.add(&format!("tcg,thread=multi,tb-size={TRANSLATED} -cpu max"));
        }
        words.add(&format!("-smp {} -m {}M", machine.cpus, machine.memory_mib));
        memory(&mut words, request.memory, machine.memory_mib);
        if let Some((boot, line)) = &request.boot {
            words.option("-kernel", &boot.vmlinux).option("-initrd", &boot.initrd);
            words.option("-append", line);
        }
        words.add("-global virtio-mmio.force-legacy=false");
        self.consoles(&mut words, request);
        if let Some(base) = request.base {
            let held = words.throttle(request.rates);
            words.disk("base", base, "read-only=on", held);
            words.disk("layer", &request.dir.join(LAYER), "discard=unmap", held);
        }
        words.add("-object rng-random,id=random,filename=/dev/urandom");
        words.add("-device virtio-rng-device,rng=random");
        self.network(&mut words, request.link);
        words.0
    }

    fn consoles(&self, words: &mut Words, request: &Request<'_>) {
        if request.boot.is_some() {
            let log = request.dir.join(CONSOLE);
            words.path("-chardev", "file,id=console,path=", &log, "");
        } else {
            words.add("-chardev").add(&format!("ringbuf,id=console,size={}", super::CONSOLE_KEPT));
        }
        words.add("-serial chardev:console");
        // By its name alone: the path may be longer than a socket's address can hold.
        words.add(&format!("-chardev socket,id=qmp,path={SOCKET},server=on,wait=off"));
        words.add("-mon chardev=qmp,mode=control");
    }

    fn network(&self, words: &mut Words, link: bool) {
        words.add("-netdev").add(&match (link, self.version >= (7, 2)) {
            (false, _) => "hubport,id=link,hubid=0".to_owned(),
            (true, true) => format!("dgram,id=link,local.type=fd,local.str={LINK}"),
            (true, false) => format!("socket,id=link,fd={LINK}"),
        });
        let mac = mac(Addresses::SANDBOX_MAC);
        words.add(&format!("-device virtio-net-device,netdev=link,mac={mac}"));
    }
}

/// Removes what a machine that ran in `dir` before has left: its console says that it is ready, and
/// its socket leads nowhere.
pub(super) fn forget_last(dir: &Path) -> Result<()> {
    for name in [CONSOLE, SOCKET, MEMORY] {
        let path = dir.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(VmError::io("removing", path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a machine's kernel is told.
pub(super) fn boot_line(boot: &BootFiles, accelerator: Accelerator, machine: &Machine) -> String {
    let rest = format!("reboot=t atelier.port={} atelier.mtu={}", machine.port, machine.mtu);
    command_line(boot, accelerator == Accelerator::Tcg, &rest)
}

/// A kernel's line with one word more for our guest, before what is init's.
pub(super) fn with_word(line: &str, word: &str) -> String {
    line.replacen(" quiet ", &format!(" quiet {word} "), 1)
}

fn memory(words: &mut Words, memory: Memory<'_>, mib: u64) {
    match memory {
        Memory::Own => {
            words.add("-object").add(&format!("memory-backend-ram,id=memory,size={mib}M"));
        }
        Memory::File(path) => {
            let before = format!("memory-backend-file,id=memory,size={mib}M,share=on,mem-path=");
            words.path("-object", &before, path, "");
        }
        Memory::CopyOf(path) => {
            // Mapped so that what a machine writes is its own: the file stays as it is.
            let before = format!("memory-backend-file,id=memory,size={mib}M,share=off,mem-path=");
            words.path("-object", &before, path, "");
        }
    }
}

struct Words(Vec<OsString>);

impl Words {
    fn add(&mut self, words: &str) -> &mut Self {
        self.0.extend(words.split(' ').map(OsString::from));
        self
    }

    fn option(&mut self, flag: &str, value: impl Into<OsString>) -> &mut Self {
        self.0.push(flag.into());
        self.0.push(value.into());
        self
    }

    /// A value with a path in it, in which QEMU takes a comma for the end unless it is doubled.
    fn path(&mut self, flag: &str, before: &str, path: &Path, after: &str) {
        use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
        let mut value = before.as_bytes().to_vec();
        for byte in path.as_os_str().as_bytes() {
            value.extend(std::iter::repeat_n(*byte, if *byte == b',' { 2 } else { 1 }));
        }
        value.extend(after.bytes());
        self.option(flag, OsString::from_vec(value));
    }

    /// The group of disks that are held to a rate together; whether there is one.
    fn throttle(&mut self, rates: Rates) -> bool {
        let mut limits = serde_json::Map::new();
        for (name, value) in [("bps-total", rates.disk_bandwidth), ("iops-total", rates.disk_iops)]
        {
            limits.extend(value.map(|value| (name.to_owned(), value.into())));
        }
        if limits.is_empty() {
            return false;
        }
        let group =
            serde_json::json!({ "qom-type": "throttle-group", "id": GROUP, "limits": limits });
        self.option("-object", group.to_string());
        true
    }

    /// A disk, which is known by its name and its serial number however it is held.
    fn disk(&mut self, name: &str, path: &Path, more: &str, held: bool) {
        let node = if held { format!("{name}-file") } else { name.to_owned() };
        let before = format!("driver=raw,node-name={node},{more},file.driver=file,file.filename=");
        self.path("-blockdev", &before, path, "");
        if held {
            let filter = format!("driver=throttle,node-name={name},{more}");
            self.add("-blockdev").add(&format!("{filter},throttle-group={GROUP},file={node}"));
        }
        self.add(&format!("-device virtio-blk-device,drive={name},serial={name}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_held_together_and_keep_their_names() {
        let mut words = Words(Vec::new());
        assert!(!words.throttle(Rates { network_bandwidth: Some(1), ..Rates::default() }));
        let held = words.throttle(Rates { disk_iops: Some(100), ..Rates::default() });
        words.disk("layer", Path::new("/l"), "discard=unmap", held);
        let text: Vec<_> = words.0.iter().map(|word| word.to_string_lossy()).collect();
        let text = text.join(" ");
        assert!(text.contains(r#""limits":{"iops-total":100}"#), "{text}");
        assert!(text.contains("node-name=layer-file,discard=unmap,file.driver=file"), "{text}");
        assert!(
            text.contains("node-name=layer,discard=unmap,throttle-group=rates,file=layer-file"),
            "{text}"
        );
        assert!(text.ends_with("drive=layer,serial=layer"), "{text}");
    }

    #[test]
    fn commas_in_paths_are_doubled() {
        let mut words = Words(Vec::new());
        words.path("-chardev", "file,path=", Path::new("/a,b/c"), ",x=1");
        assert_eq!(words.0, ["-chardev", "file,path=/a,,b/c,x=1"]);
    }
}
