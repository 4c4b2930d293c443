"""Runs a command as in a container: with the root of this chroot as the root of a mount namespace.

The kernel refuses user namespaces and pivot_root to a process in a chroot, and many tests make both. As root one
can leave the chroot inside a private mount namespace, and make the same folder that namespace's root. Nothing
outside changes, and it ends with the command.

usage: out-of-chroot.py COMMAND [ARGUMENT...]
"""

import ctypes
import os
import sys

CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

libc = ctypes.CDLL(None, use_errno=True)


def call(what, result):
    if result != 0:
        number = ctypes.get_errno()
        sys.exit(f"error: {what}: {os.strerror(number)}")


def main():
    here = os.getcwd()
    call("a mount namespace can't be made", libc.unshare(CLONE_NEWNS))
    inside = os.open("/", os.O_RDONLY)
    # A root below the current folder lets the current folder's parents be reached.
    below = "/tmp/.atelier-out-of-chroot"
    os.makedirs(below, exist_ok=True)
    os.chdir("/")
    os.chroot(below)
    for _ in range(256):
        os.chdir("..")
    os.chroot(".")
    call("mounts can't be made private", libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
    root = os.readlink(f"/proc/self/fd/{inside}").encode()
    call("the chroot can't be made a mount", libc.mount(root, root, None, MS_BIND | MS_REC, None))
    os.chdir(root)
    call("pivot_root", libc.syscall(PIVOT_ROOT[os.uname().machine], b".", b"."))
    call("the outer root can't be left", libc.umount2(b".", MNT_DETACH))
    os.chdir(here)
    os.rmdir(below)
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
