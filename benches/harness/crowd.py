"""Many environments at once, and what they and the control plane cost while nothing happens."""

import hashlib
import os
import time

from harness import machine
from harness.measure import Failed, at_once

SIZES = (10, 25, 50, 100)
IDLE_SECONDS = 10
RUNNING = 20


def crowd(bench):
    """Creates in parallel, checks each environment, and removes all."""
    report, atelier = bench.report, bench.atelier
    bench.begin("Environments created at once: atelier env create, one process each")
    # The frozen base is made once and for all: its cost is another group's.
    atelier.output("run", "first", "--", "true")
    atelier.remove_all()
    figures = {size: created_at_once(bench, size) for size in SIZES}
    growth = (figures[100].median / 100) / (figures[10].median / 10)
    report.check("time for each of 100 against each of 10", growth, "x", "<= 1.1 x (linear)",
                 growth <= 1.1)
    create(bench, SIZES[-1])
    after_100(bench)
    report.figure("100 removed, a sandbox running in each", "ms", [timed(atelier.remove_all)])
    left = machine.mounts_below(atelier.home) + os.listdir(os.path.join(atelier.home, "envs"))
    report.check("mounts and environments left after it", len(left), "", "0", not left)


def created_at_once(bench, size):
    """Creates and removes `size` environments a few times."""
    created, removed = [], []
    for _ in range(bench.crowd_runs):
        created.append(create(bench, size) * 1000)
        removed.append(timed(bench.atelier.remove_all))
    figure = bench.report.figure(f"{size} at once", "ms", created)
    bench.report.note(f"{'':<4}{figure.median / size:.1f} ms for each")
    bench.report.figure(f"{size} removed: atelier env rm --all", "ms", removed)
    return figure


def create(bench, size):
    """Creates `size` environments at once and fails unless each is there."""
    names = [f"crowd{i}" for i in range(size)]
    argv = bench.atelier.argv
    seconds, codes = at_once([argv("env", "create", name) for name in names])
    if any(codes) or sorted(bench.atelier.names()) != sorted(names):
        raise Failed(f"of {size} environments at once not all came to be: exit codes {codes}")
    return seconds


def after_100(bench):
    """The control plane with 100 environments: at rest, and with a sandbox in each."""
    report, plane = bench.report, bench.atelier.plane()
    resting = settled(plane)
    whole = whole_environments(bench)
    report.check("of 100, whole inside (files counted and hashed)", whole, "", "100", whole == 100)
    report.below("control plane's memory (RSS), 100 environments", resting[0], "MB", 30)
    running = settled(plane)
    report.below("the same, 100 sandboxes running", running[0], "MB", 30)
    report.note(f"PSS: {resting[1]:.1f} MB, {running[1]:.1f} MB")
    idle(bench, plane, "100 sandboxes running")


def whole_environments(bench):
    """How many of the environments hold exactly the project's files, as read from inside."""
    script = "find . -type f -not -path './.git/*' -exec cksum {} + | sort | sha256sum"
    wanted = bench.atelier.output("run", "crowd0", "--", "sh", "-c", script).split()[0]
    if wanted != digest_of_project():
        return 0
    # One of the checks reads everything; 100 times 200 MB would measure the disk.
    script = "find . -type f -not -path './.git/*' -printf '%p %s %m %T@\\n' | sort | sha256sum"
    said = [bench.atelier.output("run", f"crowd{i}", "--", "sh", "-c", script) for i in range(100)]
    outside = os.popen(script).read()
    return sum(one.split() == outside.split() for one in said)


def digest_of_project():
    lines = os.popen("find . -type f -not -path './.git/*' -exec cksum {} + | sort").buffer.read()
    return hashlib.sha256(lines).hexdigest()


def settled(plane):
    """(RSS, PSS) of the control plane when it has had a moment to give memory back."""
    time.sleep(2)
    return machine.rss(plane), machine.pss(plane)


def rest(bench):
    """The control plane with nothing to do, and what each idle environment adds."""
    report, atelier = bench.report, bench.atelier
    bench.begin("Nothing happens")
    atelier.renew()
    atelier.output("run", "idle0", "--", "true")
    plane = atelier.plane()
    before_rss, before = settled(plane)
    report.below("control plane's memory (RSS), one environment", before_rss, "MB", 30)
    report.figure("control plane's memory (PSS)", "MB", [before])
    idle(bench, plane, "one environment")
    own = sandboxes(atelier, plane)
    for i in range(1, RUNNING + 1):
        atelier.output("run", f"idle{i}", "--", "true")
    _, after = settled(plane)
    processes = sandboxes(atelier, plane)
    added = sum(map(machine.pss, processes)) - sum(map(machine.pss, own)) + after - before
    report.figure("PSS of each process in the sandboxes", "MB", [machine.pss(p) for p in processes])
    report.figure("processes for each environment", "", [len(processes) / (RUNNING + 1)])
    report.figure("control plane's growth for each environment", "MB", [(after - before) / RUNNING])
    report.below("memory that each idle environment adds (PSS)", added / RUNNING, "MB", 6)
    idle(bench, plane, f"{RUNNING + 1} sandboxes running")


def sandboxes(atelier, plane):
    """The processes that run the sandboxes, without the control plane."""
    return sorted(machine.processes_of(atelier.home) - {plane})


def idle(bench, plane, when):
    """Processor time over some seconds of the control plane and of all sandboxes."""
    guests = sandboxes(bench.atelier, plane)
    before, woken = [machine.ticks(plane), total(guests)], machine.wakeups(plane)
    time.sleep(IDLE_SECONDS)
    used = [machine.ticks(plane) - before[0], total(guests) - before[1]]
    woken = machine.wakeups(plane) - woken
    tick = 1000 / os.sysconf("SC_CLK_TCK")
    report = bench.report
    report.check(f"processor time in {IDLE_SECONDS} s, control plane, {when}", used[0] * tick, "ms",
                 "0 ms", used[0] == 0)
    report.check("the same of the sandboxes", used[1] * tick, "ms", "0 ms", used[1] == 0)
    report.note(f"the control plane's threads were woken {woken} times")


def total(processes):
    return sum(map(machine.ticks, processes))


def timed(work):
    """The milliseconds that it takes."""
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1000
