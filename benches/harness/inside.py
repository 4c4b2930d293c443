"""What goes on in a sandbox that runs: the round trip of a command, much output, much to copy."""

import filecmp
import os
import time

from harness import machine
from harness.measure import Failed, in_turns, run as run_program
from harness.plane import guest_path, output, run, start

ROUND_TRIP = 5
OUTPUT = 10**9
COPY = 10**9
BLOCK = 1 << 20
#: Memory that a stream may need on its way, in MB.
FLAT = 16
OCTETS = "application/octet-stream"


def trips(bench):
    """`true` in a sandbox that runs, there and back, over one kept connection."""
    report, plane = bench.report, bench.plane
    bench.begin("exec: the round trip of `true` over a kept connection")
    made = {runtime: plane.create(runtime) for runtime in bench.runtimes}
    contestants = {}
    for runtime, detail in made.items():
        contestants[f"{runtime}: our API, Unix socket"] = trip(
            plane.connection(), guest_path(detail["id"]))
        contestants[f"{runtime}: as the SDKs do, TCP"] = trip(plane.like_an_sdk(detail), "")
    if bench.docker:
        resident = bench.docker.resident()
        argv = ["docker", "exec", resident, "true"]
        contestants["docker exec"] = lambda _: run_program(argv) * 1000
    for name, samples in in_turns(4 * bench.runs, contestants).items():
        figure = report.figure(name, "ms", samples)
        if name.startswith(("host", "oci")):
            report.below(f"{name} (p50)", figure.median, "ms", ROUND_TRIP)
    if bench.docker:
        bench.docker.remove(resident)
    for detail in made.values():
        plane.remove(detail["id"])


def trip(wire, root):
    """A contestant: milliseconds of a command that does nothing."""
    def once(_):
        begin = time.perf_counter()
        run(wire, root, "true")
        return (time.perf_counter() - begin) * 1000
    return once


def much_output(bench):
    """A command that prints 1 GB: every byte arrives, and nothing grows."""
    report, plane = bench.report, bench.plane
    bench.begin(f"exec: {OUTPUT / 1e9:g} GB of output, over HTTP")
    for runtime in [name for name in ("host", "oci") if name in bench.runtimes]:
        before = plane.processes()
        sandbox = plane.create(runtime)["id"]
        run(plane.wire, guest_path(sandbox), "true")
        watched = {plane.pid} | (plane.processes() - before)
        small = {pid: machine.rss(pid) for pid in watched}
        for pid in watched:
            machine.forget_peak(pid)
        begin = time.perf_counter()
        events = start(plane.wire, guest_path(sandbox), "head", "-c", str(OUTPUT), "/dev/zero")
        count = sum(len(output(event)) for event in events)
        report.figure(f"{runtime}: output", "MB/s", [count / 1e6 / (time.perf_counter() - begin)])
        report.check(f"{runtime}: bytes lost", OUTPUT - count, "", "0", count == OUTPUT)
        grown = {pid: machine.peak(pid) - small[pid] for pid in watched}
        for whose, value in (("control plane", grown.pop(plane.pid)), ("guest", max(grown.values()))):
            report.below(f"{runtime}: the {whose}'s growth at its peak", value, "MB", FLAT)
        plane.remove(sandbox)


def copies(bench):
    """1 GB into a sandbox and out of it, beside cp on the same filesystem."""
    report, plane = bench.report, bench.plane
    bench.begin(f"cp of {COPY / 1e9:g} GB into a running oci and out of it")
    source, target = os.path.join(bench.folder, "gigabyte"), os.path.join(bench.folder, "copy")
    block = os.urandom(BLOCK)
    with open(source, "wb") as file:
        for _ in range(COPY // BLOCK):
            file.write(block)
        file.write(block[:COPY % BLOCK])
    sandbox = plane.create("oci")["id"]
    cp = plane.argv("sandbox", "cp")
    contestants = {
        "cp": lambda: run_program(["cp", source, target]),
        "in: atelier sandbox cp": lambda: run_program([*cp, source, f"{sandbox}:/root/by-cli"]),
        "out: atelier sandbox cp": lambda: run_program([*cp, f"{sandbox}:/root/by-cli", target]),
        "in: HTTP": lambda: upload(plane.wire, sandbox, source, "/root/by-http"),
        "out: HTTP": lambda: download(plane.wire, sandbox, "/root/by-http", target),
    }
    rounds = 1 if bench.args.quick else 5
    speeds = in_turns(rounds, {name: copied(bench, sandbox, source, target, name, work)
                               for name, work in contestants.items()}, warm_up=0)
    figures = {name: report.figure(name, "MB/s", samples) for name, samples in speeds.items()}
    plain = figures.pop("cp")
    for name, figure in figures.items():
        value = figure.median / plain.median
        report.check(f"{name}, against cp", value, "x", "> 0.5 x", value > 0.5)
    plane.remove(sandbox)
    os.remove(source)


def copied(bench, sandbox, source, target, name, work):
    """A contestant: MB/s into a file that was not there before. What comes out must be what went
    in."""
    def once(_):
        os.sync()
        speed = COPY / 1e6 / work()
        if os.path.exists(target):
            if not filecmp.cmp(source, target, shallow=False):
                raise Failed(f"{name}: what arrived is not what was sent")
            os.remove(target)
            if name.startswith("out"):
                run(bench.plane.wire, guest_path(sandbox), "rm", "-r", "/root/" + INSIDE[name])
        return speed
    return once


INSIDE = {"out: atelier sandbox cp": "by-cli", "out: HTTP": "by-http"}


def upload(wire, sandbox, source, path):
    """Seconds of a file's way in."""
    begin = time.perf_counter()
    with open(source, "rb") as file:
        wire.send("POST", guest_path(sandbox, f"/files?path={path}"), kind=OCTETS, size=COPY)
        wire.socket.sendfile(file)
    wire.answer().json("the upload")
    return time.perf_counter() - begin


def download(wire, sandbox, path, target):
    """Seconds of a file's way out."""
    begin = time.perf_counter()
    wire.send("GET", guest_path(sandbox, f"/files?path={path}"))
    answer = wire.answer()
    if answer.status != 200:
        answer.json("the download")
    with open(target, "wb", buffering=0) as file:
        for piece in answer.pieces():
            file.write(piece)
    return time.perf_counter() - begin

