//! What this host has and lacks for QEMU machines, in words.

use std::path::Path;

use atelier_api::Fault as _;
use atelier_api::system::{Check, Verdict};

use super::Qemu;
use crate::command::program;
use crate::error::Result;
use crate::kernel::Kernel;

/// Looks for QEMU, a kernel and `mkfs.ext4`, and boots a machine (once; see [`Qemu::choose`]).
/// `guest` is the static guest binary; `qemu` and `kernel` are what the user configured.
#[must_use]
pub fn probe(qemu: Option<&Path>, kernel: Option<&Path>, guest: &Path, cache: &Path) -> Vec<Check> {
    let found_qemu = Qemu::find(qemu);
    let found_kernel = Kernel::find(kernel);
    let mut checks = vec![
        check("qemu", &found_qemu, |it| it.version().to_owned()),
        check("kernel", &found_kernel, |it| format!("{} ({})", it.path.display(), it.release)),
        match program("mkfs.ext4", None) {
            Some(path) => ok("mkfs.ext4", path.display().to_string()),
            None => Check {
                name: "mkfs.ext4".to_owned(),
                verdict: Verdict::Failed,
                detail: "no such program".to_owned(),
                remedy: Some("apt install e2fsprogs".to_owned()),
                fixable: false,
            },
        },
    ];
    if let (Ok(qemu), Ok(kernel)) = (found_qemu, found_kernel) {
        checks.push(boots(&qemu, &kernel, guest, cache));
    }
    checks
}

fn boots(qemu: &Qemu, kernel: &Kernel, guest: &Path, cache: &Path) -> Check {
    let choice =
        kernel.prepare(guest, &cache.join("kernels")).and_then(|boot| qemu.choose(&boot, cache));
    let mut check = check("boot", &choice, |choice| match &choice.why_not_kvm {
        None => "a machine boots with KVM".to_owned(),
        Some(why) => format!("a machine boots, emulated (TCG), because KVM does not work: {why}"),
    });
    if choice.is_ok_and(|choice| choice.why_not_kvm.is_some()) {
        check.verdict = Verdict::Warning;
    }
    check
}

fn check<T>(name: &str, found: &Result<T>, detail: impl Fn(&T) -> String) -> Check {
    match found {
        Ok(it) => ok(name, detail(it)),
        Err(error) => {
            let problem = error.problem();
            Check {
                name: name.to_owned(),
                verdict: Verdict::Failed,
                detail: problem.detail,
                remedy: problem.hints.into_iter().next(),
                fixable: false,
            }
        }
    }
}

fn ok(name: &str, detail: String) -> Check {
    Check { name: name.to_owned(), verdict: Verdict::Ok, detail, remedy: None, fixable: false }
}
