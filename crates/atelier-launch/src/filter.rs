//! The system call filter: a deny list, because a sandbox runs whatever a developer's machine
//! runs. What is refused either reaches around the namespaces or is a frequent way into the
//! kernel.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use crate::error::{At as _, LaunchError, Result};
use crate::sys;

#[cfg(target_arch = "x86_64")]
const ARCH: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;

/// Refused with EPERM whatever the arguments.
const DENIED: &[c_long] = &[
    // mounts, old and new
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    SYS_OPEN_TREE_ATTR,
    libc::SYS_setns,
    // around the mount tree
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    SYS_QUOTACTL_FD,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // the kernel itself
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    SYS_LOOKUP_DCOOKIE,
    libc::SYS_nfsservctl,
    // keys belong to a user, not to a namespace
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // the clock is everybody's
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
];
#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[c_long] = &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_uselib];
#[cfg(target_arch = "aarch64")]
const DENIED_HERE: &[c_long] = &[];

/// As if the kernel did not have them. A C library takes clone when there is no clone3, whose
/// flags lie in memory where no filter can read them.
const MISSING: &[c_long] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

// Numbers that not every libc version knows; the same on both architectures unless said.
const SYS_OPEN_TREE_ATTR: c_long = 467;
const SYS_QUOTACTL_FD: c_long = 443;
#[cfg(target_arch = "x86_64")]
const SYS_LOOKUP_DCOOKIE: c_long = 212;
#[cfg(target_arch = "aarch64")]
const SYS_LOOKUP_DCOOKIE: c_long = 18;

const NEW_NAMESPACES: [i32; 8] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    CLONE_NEWTIME,
];
const CLONE_NEWTIME: i32 = 0x80; // for unshare; in clone the bit belongs to the exit signal
/// ioctls that type into a terminal as if its user had: TIOCSTI and TIOCLINUX.
const TYPING: [u64; 2] = [0x5412, 0x541c];
/// Socket families that no network namespace holds: vsock speaks to the hypervisor.
const FAMILIES: [u64; 1] = [libc::AF_VSOCK as u64];
/// Calls above this number are of the x32 ABI, under which every rule could be passed by.
#[cfg(target_arch = "x86_64")]
const X32_BIT: u32 = 0x4000_0000;

/// The programs to install, in order.
pub fn programs() -> Result<[BpfProgram; 2]> {
    let build = || Ok([refused()?, missing()?]);
    build().map_err(|error: seccompiler::BackendError| {
        LaunchError::new("build the system call filter", error.to_string())
    })
}

/// Installs the programs for this process and all of its future children. It takes either
/// `no_new_privs` or CAP_SYS_ADMIN.
pub fn install(programs: &[BpfProgram]) -> Result<()> {
    for program in programs {
        sys::set_filter(program)
            .step("install the system call filter")
            .map_err(|error| error.hint("The kernel needs CONFIG_SECCOMP_FILTER."))?;
    }
    Ok(())
}

type Built<T> = std::result::Result<T, seccompiler::BackendError>;

fn refused() -> Built<BpfProgram> {
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> = BTreeMap::new();
    for call in DENIED.iter().chain(DENIED_HERE) {
        rules.insert(*call, Vec::new());
    }
    rules.insert(libc::SYS_unshare, any_bit(&NEW_NAMESPACES)?);
    rules.insert(libc::SYS_clone, any_bit(&NEW_NAMESPACES[..7])?);
    rules.insert(libc::SYS_ioctl, any_of(1, &TYPING)?);
    rules.insert(libc::SYS_socket, any_of(0, &FAMILIES)?);
    compile(rules, libc::EPERM)
}

fn missing() -> Built<BpfProgram> {
    let rules = MISSING.iter().map(|call| (*call, Vec::new())).collect();
    let program = compile(rules, libc::ENOSYS)?;
    #[cfg(target_arch = "x86_64")]
    let program = without_x32(program);
    Ok(program)
}

/// Matches when the first argument has one of the flags.
fn any_bit(flags: &[i32]) -> Built<Vec<SeccompRule>> {
    let bit = |flag: &i32| u64::from(*flag as u32);
    flags.iter().map(|flag| when(0, SeccompCmpOp::MaskedEq(bit(flag)), bit(flag))).collect()
}

/// Matches when the argument is one of the values.
fn any_of(argument: u8, values: &[u64]) -> Built<Vec<SeccompRule>> {
    values.iter().map(|value| when(argument, SeccompCmpOp::Eq, *value)).collect()
}

fn when(argument: u8, operator: SeccompCmpOp, value: u64) -> Built<SeccompRule> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
    SeccompRule::new(vec![condition])
}

fn compile(rules: BTreeMap<c_long, Vec<SeccompRule>>, errno: i32) -> Built<BpfProgram> {
    let refuse = SeccompAction::Errno(errno as u32);
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, ARCH)?.try_into()
}

/// Puts `if (nr >= X32_BIT) return ENOSYS` before a program.
#[cfg(target_arch = "x86_64")]
fn without_x32(program: BpfProgram) -> BpfProgram {
    let op = |code: u32, jf: u8, k: u32| sock_filter { code: code as u16, jt: 0, jf, k };
    let mut all = vec![
        op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0), // seccomp_data.nr
        op(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 1, X32_BIT),
        op(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
    ];
    all.extend(program);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_build_and_are_short_enough_for_the_kernel() {
        let programs = programs().unwrap();
        assert!(programs.iter().all(|program| (1..4096).contains(&program.len())));
    }
}
