"""Many sandboxes at once, and many one after the other: whether all come to be, and what stays
behind."""

import glob
import os
import subprocess
import sys
import threading
import time

from harness import machine
from harness.creation import PAUSE, booted, made
from harness.measure import in_turns
from harness.plane import greet, guest_path, run
from harness.report import percentile

SIZES = (50, 100)
LOOP = 1000
WARM_UP = 20
#: What a control plane may have more of after a loop: caches and threads that wait for work.
MEMORY, FILES, THREADS = (f"{what} of the control plane" for what in (
    "MB of private memory", "descriptors", "threads"))
ALLOWED = {MEMORY: 4, FILES: 3, THREADS: 16}
BUSY, BOOTS_AT_ONCE = 3, 2
SETTLE = 5


def crowd(bench):
    """Creates at once, each with a connection of its own, beside one alone."""
    report = bench.report
    bench.begin("oci, many at once: create by HTTP, until a command's first output")
    samples = in_turns(bench.runs, {"alone": made(bench.plane, "oci")}, pause=PAUSE)["alone"]
    alone = report.figure("one alone", "ms", samples)
    for size in SIZES:
        rounds = [at_once(bench, size) for _ in range(1 if bench.args.quick else 3)]
        failures = [said for _, failed, _ in rounds for said in failed]
        report.check(f"{size} at once: failures", len(failures), "", "0", not failures,
                     f" {failures[:1]}" if failures else "")
        took = [each for took, _, _ in rounds for each in took]
        if not took:
            continue
        figure = report.figure(f"{size} at once, each", "ms", took)
        cost = report.figure(f"{size} at once, processor time for each", "ms",
                             [cpu for _, _, cpu in rounds])
        floor = cost.median * size / os.cpu_count()
        report.note(f"    so {os.cpu_count()} processors need {floor:.0f} ms for {size}")
        last = percentile(figure.samples, 0.99)
        report.check(f"{size} at once: p99 against one alone (p50)", last / alone.median, "x",
                     "< 5 x", last < 5 * alone.median, f" (p99 {last:.0f} ms)")


def at_once(bench, count):
    """(milliseconds of each that came to be, what the others said, milliseconds of processor time
    for each: the control plane's, the launchers' and the sandboxes' own)."""
    plane, took, failed, ids = bench.plane, [], [], []
    gate = threading.Barrier(count + 1)

    def one():
        wire = plane.connection()
        gate.wait()
        begin = time.perf_counter()
        try:
            sandbox = plane.create("oci", wire)["id"]
            ids.append(sandbox)
            took.append((greet(wire, sandbox) - begin) * 1000)
        except Exception as error:
            failed.append(str(error))
        wire.close()

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    others, before = plane.processes(), machine.with_children(plane.pid)
    gate.wait()
    for thread in threads:
        thread.join()
    used = machine.with_children(plane.pid) - before
    used += sum(map(machine.on_processor, plane.processes() - others))
    for sandbox in ids:
        plane.remove(sandbox)
    time.sleep(1)
    return took, failed, used * 1000 / count


def loop(bench):
    """Makes and removes one after the other, and compares the machine before and after."""
    report, plane = bench.report, bench.plane
    rounds = 50 if bench.args.quick else LOOP
    bench.begin(f"oci, {rounds} made and removed, one after the other")
    # What is made once and kept is made by the first few.
    repeat(plane, WARM_UP)
    time.sleep(SETTLE)
    sandbox = plane.create("oci")["id"]
    groups = control_groups(plane)
    plane.remove(sandbox)
    time.sleep(1)
    before = left(plane, groups)
    report.figure("create, true, remove: each", "ms", repeat(plane, rounds))
    time.sleep(SETTLE)
    after = left(plane, groups)
    for what, value in after.items():
        allowed, more = ALLOWED.get(what, 0), value - before[what]
        report.check(f"more {what}", more, "", f"<= {allowed}", more <= allowed,
                     f" ({before[what]:.6g} before)")


def repeat(plane, rounds):
    """Milliseconds of each round."""
    took = []
    for _ in range(rounds):
        begin = time.perf_counter()
        sandbox = plane.create("oci")["id"]
        run(plane.wire, guest_path(sandbox), "true")
        plane.remove(sandbox)
        took.append((time.perf_counter() - begin) * 1000)
    return took


def left(plane, groups):
    """What sandboxes could leave behind, counted."""
    folders = [name for kind in ("sandboxes", "envs", "snapshots")
               for name in os.listdir(os.path.join(plane.home, kind))]
    mounts = machine.read(f"/proc/{plane.pid}/mountinfo") + machine.read("/proc/self/mountinfo")
    return {
        "processes": len(plane.processes()),
        "mounts": sum(plane.home in line for line in mounts.splitlines()),
        "control groups": sum(len(glob.glob(f"{group}/*/")) for group in groups),
        "folders": len(folders),
        "network links": len(os.listdir("/sys/class/net")),
        FILES: len(os.listdir(f"/proc/{plane.pid}/fd")),
        THREADS: len(os.listdir(f"/proc/{plane.pid}/task")),
        MEMORY: machine.private(plane.pid) * 2**20 / 1e6,
    }


def control_groups(plane):
    """The folders that hold the control groups of this home's sandboxes."""
    found = set()
    for pid in plane.processes():
        for line in machine.read(f"/proc/{pid}/cgroup").splitlines():
            path = line.split(":", 2)[2]
            if "atelier" in path:
                top = os.path.dirname(path)
                found.update(glob.glob(f"/sys/fs/cgroup{top}"))
                found.update(glob.glob(f"/sys/fs/cgroup/*{top}"))
    return found


def boots(bench):
    """Cold boots while everything is busy: none may hang."""
    report, plane = bench.report, bench.plane
    if "qemu" not in bench.runtimes:
        report.note("the runtime qemu does not work here: boots are not measured")
        return
    count = 4 if bench.args.quick else bench.args.boots
    bench.begin(f"qemu: {count} copies of the template, each then stopped and booted cold, "
                f"{BOOTS_AT_ONCE} at a time beside {BUSY} busy processes")
    plane.remove(plane.create("qemu")["id"])
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY)]
    try:
        took, failed = boot(plane, count)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    if took:
        report.figure("a cold boot, until a command's first output", "ms", took)
    report.check(f"of {count}, hung or failed", len(failed), "", "0", not failed,
                 f" {failed[:2]}" if failed else "")


def boot(plane, count):
    """(milliseconds of each boot, what the others said)."""
    took, failed, numbers = [], [], iter(range(count))

    def some():
        for _ in numbers:
            wire = plane.connection()
            try:
                took.append(booted(plane, wire))
            except Exception as error:
                failed.append(str(error))
            wire.close()

    threads = [threading.Thread(target=some) for _ in range(BOOTS_AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took, failed
