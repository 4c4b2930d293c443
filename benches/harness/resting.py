"""What sandboxes cost in which nothing happens."""

import collections
import time

from harness import machine
from harness.plane import greet

COUNT = 5
SETTLE = 5


def idle(bench):
    """A table: what each runtime's idle sandbox holds in memory, process by process."""
    report, plane = bench.report, bench.plane
    bench.begin(f"Memory of an idle sandbox, the mean of {COUNT}")
    for runtime in bench.runtimes:
        # What belongs to the runtime, not to a sandbox, is there before.
        plane.remove(plane.create(runtime)["id"])
        time.sleep(1)
        before, plane_before = plane.processes(), machine.private(plane.pid)
        ids = [plane.create(runtime)["id"] for _ in range(COUNT)]
        for sandbox in ids:
            greet(plane.wire, sandbox)
        time.sleep(SETTLE)
        added = plane.processes() - before
        grown = (machine.private(plane.pid) - plane_before) / COUNT
        pss = sum(map(machine.pss, added)) * 1e6 / 2**20 / COUNT
        own = sum(map(machine.private, added)) / COUNT
        report.figure(f"{runtime}: PSS of its processes", "MiB", [pss])
        report.figure(f"{runtime}: private memory of its processes", "MiB", [own])
        report.figure(f"{runtime}: growth of the control plane", "MiB", [grown])
        report.note(f"    {runtime}: {table(added)}")
        for sandbox in ids:
            plane.remove(sandbox)


def table(pids):
    """Processes by name, with the mean of their private memory."""
    by_name = collections.defaultdict(list)
    for pid in pids:
        by_name[machine.read(f"/proc/{pid}/comm").strip()].append(machine.private(pid))
    return ", ".join(f"{len(each) / COUNT:g} x {name} ({sum(each) / len(each):.2f} MiB)"
                     for name, each in sorted(by_name.items()))
