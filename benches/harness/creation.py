"""From the call that makes a sandbox to the first output of a command in it, beside the peers."""

import time

from harness import machine
from harness.bundle import CRUN, RUNSC, Bundle, Network
from harness.docker import IMAGE
from harness.measure import first_output, in_turns
from harness.plane import greet

#: What a removed sandbox's kernel objects get for their own end, so that it falls on nobody else.
PAUSE = 0.1
COLD_EVERY = 5
COPIES = 5
AT_ONCE = 10
SETTLE = 5


def create(bench):
    """Each runtime that works here beside its peers, in rounds of their own."""
    bundle = Bundle(f"{bench.folder}/bundle", bench.tree)
    for runtime, measure in {"oci": oci, "gvisor": gvisor, "qemu": qemu}.items():
        if runtime in bench.runtimes:
            measure(bench, bundle)
        else:
            bench.report.note(f"the runtime {runtime} does not work here: not measured")


def oci(bench, bundle):
    report, plane = bench.report, bench.plane
    bench.begin("oci: create by HTTP, until a command's first output")
    parent = plane.create("oci")["id"]
    names = figures(bench, {
        "oci": made(plane, "oci"),
        "fork of a running oci": forked(plane, parent),
        f"the same, each of {AT_ONCE} by one call": forked(plane, parent, AT_ONCE),
        **({"docker run": lambda _: first_output(["docker", "run", "--rm", IMAGE, "echo", "hello"])}
           if bench.docker else {}),
        "crun run, no control groups": lambda _: first_output(bundle.run(*CRUN)),
    })
    plane.remove(parent)
    report.below("create, oci (p50)", names["oci"].median, "ms", 60)
    if bench.docker:
        report.ratio(names["oci"], names["docker run"], 0.2, "create, oci, against docker run")
    report.ratio(names["fork of a running oci"], names["oci"], 1, "fork, oci, against create")


def gvisor(bench, bundle):
    bench.begin("gvisor: create by HTTP, until a command's first output")
    said = " ".join(check["detail"] for check in bench.runtimes["gvisor"]["checks"])
    platform = "systrap" if "systrap" in said else "ptrace"
    runsc = [*RUNSC, f"--platform={platform}"]
    joined = Bundle(bundle.folder + "-network", bundle.tree, network="/proc/self/ns/net")
    with Network() as network:
        def with_network(_):
            network.prepare()
            command = joined.run(*runsc, "--network=sandbox")
            return first_output(network.inside(*command))

        names = figures(bench, {
            "gvisor": made(bench.plane, "gvisor"),
            f"runsc run, {platform}, with a network device": with_network,
            f"runsc run, {platform}, without network":
                lambda _: first_output(bundle.run(*runsc, "--network=none")),
        })
    ours, with_device, without = (figure.median for figure in names.values())
    bench.report.below("create, gvisor, above runsc run with a network device (p50)",
                       ours - with_device, "ms", 40)
    bench.report.note(f"above runsc run without network: {ours - without:.1f} ms")


def qemu(bench, _bundle):
    report, plane = bench.report, bench.plane
    bench.begin("qemu: create by HTTP, until a command's first output")
    report.figure("the first of its image, which makes the template", "ms",
                  [made(plane, "qemu")(0)])
    parent = plane.create("qemu")["id"]
    names = figures(bench, {
        "qemu, a copy of the template": made(plane, "qemu"),
        "qemu, a cold boot": lambda i: None if i % COLD_EVERY else booted(plane),
        "fork of a running qemu": forked(plane, parent),
    })
    plane.remove(parent)
    warm, cold, fork = names.values()
    report.ratio(warm, cold, 1 / 6, "create, qemu, against its cold boot")
    report.ratio(fork, warm, 1, "fork, qemu, against create")
    memory(bench)


def memory(bench):
    """What copies of a template have for themselves, all their processes counted."""
    plane, before = bench.plane, bench.plane.processes()
    ids = [plane.create("qemu")["id"] for _ in range(COPIES)]
    for sandbox in ids:
        greet(plane.wire, sandbox)
    time.sleep(SETTLE)
    added = plane.processes() - before
    each = [machine.private(pid) for pid in added]
    largest = sorted(each)[-COPIES:]
    bench.report.figure("private memory of each monitor", "MiB", largest)
    bench.report.below("private memory for each copy, all its processes", sum(each) / COPIES, "MiB",
                       40)
    for sandbox in ids:
        plane.remove(sandbox)


def figures(bench, contestants):
    """Runs them in turns; their figures by name."""
    turns = in_turns(bench.runs, contestants, pause=PAUSE)
    return {name: bench.report.figure(name, "ms", samples) for name, samples in turns.items()}


def made(plane, runtime):
    """A contestant: a new sandbox. Its removal is not in the sample."""
    return lambda _: until_output(plane, lambda: [plane.create(runtime)])


def forked(plane, parent, count=1):
    """A contestant: copies of a sandbox that runs; the sample is the share of each."""
    return lambda _: until_output(plane, lambda: plane.change(parent, "fork", {"count": count}))


def until_output(plane, make):
    """Milliseconds from the call that makes sandboxes to a command's output in the last of them,
    divided by their number."""
    begin = time.perf_counter()
    ids = [one["id"] for one in make()]
    for sandbox in ids:
        arrived = greet(plane.wire, sandbox)
    for sandbox in ids:
        plane.remove(sandbox)
    return (arrived - begin) * 1000 / len(ids)


def booted(plane, wire=None):
    """Milliseconds of a start from the disk alone, which is what a stopped machine does."""
    wire = wire or plane.wire
    sandbox = plane.create("qemu", wire)["id"]
    try:
        plane.change(sandbox, "stop", wire=wire)
        begin = time.perf_counter()
        plane.change(sandbox, "start", wire=wire)
        return (greet(wire, sandbox) - begin) * 1000
    finally:
        plane.remove(sandbox, wire)
