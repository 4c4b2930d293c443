"""How much goes through a command's output and input, and the binary's size."""

import os
import subprocess

from harness.docker import IMAGE
from harness.measure import in_turns, run

OUT, IN = 10**9, 256 * 10**6


def flow(bench):
    bench.begin("Throughput")
    bench.atelier.output("run", "existing", "--", "true")
    ours = bench.atelier.argv("run", "existing", "--")
    peer = ["docker", "run", "--rm", "--interactive", "--log-driver", "none", IMAGE]
    contestants = {
        "out: atelier run ENV -- head -c 1G": lambda _: out(ours),
        "in: 256 MB | atelier run ENV -- cat": lambda _: into(ours),
    }
    if bench.docker:
        contestants["out: docker run --log-driver none"] = lambda _: out(peer)
        contestants["in: 256 MB | docker run -i"] = lambda _: into(peer)
    for name, samples in in_turns(bench.flow_runs, contestants, warm_up=0).items():
        bench.report.figure(name, "MB/s", samples)


def out(prefix):
    """MB/s of a command's output to /dev/null, its start included."""
    return OUT / 1e6 / run([*prefix, "head", "-c", str(OUT), "/dev/zero"])


def into(prefix):
    """MB/s of a command's input from a pipe, its start included."""
    with subprocess.Popen(["head", "-c", str(IN), "/dev/zero"], stdout=subprocess.PIPE) as source:
        return IN / 1e6 / run([*prefix, "sh", "-c", "cat > /dev/null"], stdin=source.stdout.fileno())


def size(bench):
    bench.begin("The binary")
    megabytes = os.path.getsize(bench.atelier.binary) / 1e6
    bench.report.below("size of the binary", megabytes, "MB", 40)
