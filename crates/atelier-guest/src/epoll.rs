//! The C library's `epoll_ctl` and `epoll_wait`, for this program: what was deleted is never told of.
//!
//! gVisor before April 2026 may bring deleted interests back when it restores a saved state, and tell of
//! them once more (mended by its commit 5d857245, "vfs: clear temporary notReady lists"). The runtime
//! of this program takes the data of an event for the address of what it belongs to, which is freed
//! then. So these functions, which the linker takes before the C library's, remember what is registered
//! and leave out every event of anything else.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::sync::{Mutex, MutexGuard, PoisonError};

use libc::epoll_event;

/// The data of each interest, by the descriptors of its `epoll` and its file. One `epoll` may have several
/// descriptors: tokio waits at another one than it registers by.
type Interests = BTreeMap<(c_int, c_int), u64>;

static INTERESTS: Mutex<Interests> = Mutex::new(BTreeMap::new());

/// Held over the call to the kernel as well, so that no event comes before its interest is known.
fn interests() -> MutexGuard<'static, Interests> {
    INTERESTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `epoll_ctl(2)`.
///
/// # Safety
/// `event` is null or points to an event.
#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_ctl(
    epoll: c_int,
    operation: c_int,
    file: c_int,
    event: *mut epoll_event,
) -> c_int {
    let mut interests = interests();
    // SAFETY: the caller's promise is the kernel's condition.
    let done = unsafe { libc::syscall(libc::SYS_epoll_ctl, epoll, operation, file, event) };
    if done == 0 && operation == libc::EPOLL_CTL_DEL {
        interests.remove(&(epoll, file));
    } else if done == 0 {
        // SAFETY: the kernel has just read it for the two other operations.
        let data = unsafe { event.read_unaligned() }.u64;
        interests.insert((epoll, file), data);
    }
    if done == 0 { 0 } else { -1 }
}

/// `epoll_wait(2)`. When none of the events is left, it is as if the time was over.
///
/// # Safety
/// `events` points to room for as many events as `room` says.
#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_wait(
    epoll: c_int,
    events: *mut epoll_event,
    room: c_int,
    timeout: c_int,
) -> c_int {
    let no_signals = std::ptr::null::<libc::sigset_t>();
    // SAFETY: the caller's promise is the kernel's condition; a null mask has any size.
    let found = unsafe {
        libc::syscall(libc::SYS_epoll_pwait, epoll, events, room, timeout, no_signals, 0_usize)
    };
    let Ok(found) = usize::try_from(found) else { return -1 };
    if found == 0 {
        return 0;
    }
    // SAFETY: the kernel has written that many, and nobody else has them before this returns.
    let events = unsafe { std::slice::from_raw_parts_mut(events, found) };
    let left = keep_registered(&interests(), events);
    c_int::try_from(left).unwrap_or(room)
}

/// Moves the events of what is registered to the front. Returns how many there are.
fn keep_registered(interests: &Interests, events: &mut [epoll_event]) -> usize {
    let mut kept = 0;
    for next in 0..events.len() {
        let data = events[next].u64;
        if interests.values().any(|of| *of == data) {
            events[kept] = events[next];
            kept += 1;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

    use super::*;

    fn readable(data: u64) -> epoll_event {
        epoll_event { events: libc::EPOLLIN.cast_unsigned(), u64: data }
    }

    fn told(epoll: &OwnedFd) -> Vec<u64> {
        let mut events = [readable(0); 8];
        // SAFETY: the room is as large as it is said to be.
        let found = unsafe { epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), 8, 0) };
        let mut told: Vec<u64> =
            events[..usize::try_from(found).unwrap()].iter().map(|event| event.u64).collect();
        told.sort_unstable();
        told
    }

    fn ready() -> (File, File) {
        let (read, write) = nix::unistd::pipe().unwrap();
        let mut write = File::from(write);
        write.write_all(b"x").unwrap();
        (read.into(), write)
    }

    #[test]
    fn only_what_is_registered_is_told_of() {
        // SAFETY: a new descriptor belongs to nobody else.
        let epoll = unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
        let pipes = [ready(), ready(), ready()];
        let of = |index: usize| pipes[index].0.as_raw_fd();
        let other = epoll.try_clone().unwrap();
        let order = |operation, index, data| {
            // SAFETY: the event is there for the time of the call.
            unsafe { epoll_ctl(other.as_raw_fd(), operation, of(index), &mut readable(data)) }
        };
        assert_eq!(order(libc::EPOLL_CTL_ADD, 0, 10), 0);
        assert_eq!(order(libc::EPOLL_CTL_ADD, 1, 11), 0);
        assert_eq!(order(libc::EPOLL_CTL_ADD, 1, 11), -1, "it is there already");
        // As a deleted one that came back: the kernel knows it, and we do not.
        // SAFETY: the event is there for the time of the call.
        let stray = unsafe {
            let (add, event) = (libc::EPOLL_CTL_ADD, &mut readable(12));
            libc::syscall(libc::SYS_epoll_ctl, epoll.as_raw_fd(), add, of(2), event)
        };
        assert_eq!((stray, told(&epoll)), (0, vec![10, 11]));
        assert_eq!(order(libc::EPOLL_CTL_MOD, 1, 13), 0);
        assert_eq!(told(&epoll), [10, 13]);
        assert_eq!(order(libc::EPOLL_CTL_DEL, 0, 0), 0);
        assert_eq!(told(&epoll), [13]);
        assert_eq!(order(libc::EPOLL_CTL_DEL, 1, 0), 0);
        assert!(told(&epoll).is_empty(), "the stray alone is as nothing");
    }
}
