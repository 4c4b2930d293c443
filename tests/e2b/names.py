#!/usr/bin/env python3
"""Runs a command for which the names below a domain lead to one address. Needs root.

    tests/e2b/names.py DOMAIN COMMAND [ARGUMENT...]

A name server of our own answers at a loopback address, and the command sees a resolv.conf that says
so, in a mount namespace of its own: nothing of the machine changes. All other names are refused.
"""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading

ADDRESS = "127.0.0.1"


def serve(domain, address=ADDRESS):
    """Answers for the names below a domain until this process ends; gives the server's address."""
    own = os.getpid()
    nameserver = f"127.{64 + (own >> 16 & 63)}.{own >> 8 & 255}.{1 + own % 254}"
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        server.bind((nameserver, 53))
    except OSError as error:
        sys.exit(f"error: no name server at {nameserver}:53: {error}; it needs root")
    suffix = domain.lower().split(".")

    def answer():
        while True:
            query, peer = server.recvfrom(4096)
            server.sendto(reply(query, suffix, address), peer)

    threading.Thread(target=answer, daemon=True).start()
    return nameserver


def reply(query, suffix, address):
    labels, at = [], 12
    while at < len(query) and query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace").lower())
        at += 1 + query[at]
    question, kind = query[12 : at + 5], query[at + 1 : at + 3]
    known = labels[-len(suffix) :] == suffix
    found = known and kind == b"\x00\x01"
    head = query[:2] + (b"\x85\x80" if known else b"\x81\x85") + b"\x00\x01" + bytes([0, found]) + bytes(4)
    record = b"\xc0\x0c\x00\x01\x00\x01" + bytes([0, 0, 0, 60, 0, 4]) + socket.inet_aton(address)
    return head + question + (record if found else b"")


def seen_by(command, nameserver, folder):
    """The command, with that server as the only one that it sees."""
    folder = pathlib.Path(folder)
    (folder / "resolv.conf").write_text(f"nameserver {nameserver}\n")
    (folder / "nsswitch.conf").write_text("hosts: files dns\n")
    mount = 'for file in resolv.conf nsswitch.conf; do [ ! -e /etc/$file ] || mount --bind "$0/$file" /etc/$file; done'
    start = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{mount}; exec "$@"', str(folder)]
    return start + command


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        nameserver = serve(sys.argv[1].rsplit(":", 1)[0])
        return subprocess.run(seen_by(sys.argv[2:], nameserver, folder)).returncode


if __name__ == "__main__":
    sys.exit(main())
