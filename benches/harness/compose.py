"""A project of two services: how long it takes to come up and go down in an environment, and by Docker
Compose alone; one at a time, and many at once."""

import os
import subprocess
import time

from harness.docker import IMAGE
from harness.measure import Failed, at_once, in_turns
from harness.project import git

FILE = f"""services:
  db: {{image: "{IMAGE}", command: sleep 86400, stop_grace_period: 0s}}
  api: {{image: "{IMAGE}", command: sleep 86400, stop_grace_period: 0s, depends_on: [db]}}
"""
#: The same with an IPv6 subnet, which our environments have and plain Compose's networks have not: each one
#: costs the engine rules of ip6tables at `up` and at `down`.
SIX = """networks:
  default: {enable_ipv6: true, ipam: {config: [{subnet: "${SUBNET}"}]}}
"""
#: How much longer than Compose alone it may take, and how many come up at once.
LIMIT, AT_ONCE = 1.2, 20
#: Milliseconds for a list of a hundred environments.
LIST = 50
ENVIRONMENTS = 100


def project(folder):
    """The project, committed."""
    place = os.path.join(folder, "shop")
    os.mkdir(place)
    with open(os.path.join(place, "compose.yaml"), "w", encoding="utf-8") as file:
        file.write(FILE)
    with open(os.path.join(folder, "six.yaml"), "w", encoding="utf-8") as file:
        file.write(FILE + SIX)
    git(place, "init", "-q", "-b", "main")
    git(place, "add", "-A")
    git(place, "commit", "-q", "-m", "first")
    return place


def plain(bench, name, *arguments):
    return [bench.compose, "--progress", "quiet", "-p", name, *arguments]


def six(bench, number, *arguments):
    """Plain Compose with IPv6; each project's subnet is its own."""
    file = os.path.join(bench.folder, "six.yaml")
    return ["env", f"SUBNET=fd00:a7e1:{number:x}::/64", bench.compose, "--progress", "quiet", "-f", file,
            "-p", f"six-{number}", *arguments]


def timed(argv):
    begin = time.perf_counter()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
                          check=False)
    if done.returncode:
        raise Failed(f"{' '.join(argv[:4])}: {done.stderr.strip()[-400:]}")
    return (time.perf_counter() - begin) * 1000


def up(bench):
    """One at a time, in turns."""
    bench.begin("two services, up and down")
    bench.atelier.output("env", "create", "one")
    down = {"ours": [], "plain": [], "six": []}

    def ours(_):
        took = timed(bench.atelier.argv("env", "up", "one"))
        down["ours"].append(timed(bench.atelier.argv("env", "down", "one")))
        return took

    def theirs(_):
        took = timed(plain(bench, "plain", "up", "-d"))
        down["plain"].append(timed(plain(bench, "plain", "down")))
        return took

    def with_six(_):
        took = timed(six(bench, 1, "up", "-d"))
        down["six"].append(timed(six(bench, 1, "down")))
        return took

    runs = min(bench.runs, 15)
    samples = in_turns(runs, {"ours": ours, "plain": theirs, "six": with_six}, warm_up=1)
    own = bench.report.figure("up", "ms", samples["ours"])
    other = bench.report.figure("docker compose up", "ms", samples["plain"])
    bench.report.ratio(own, other, LIMIT, "up over plain Compose")
    bench.report.figure("docker compose up with IPv6", "ms", samples["six"])
    own = bench.report.figure("down", "ms", down["ours"][1:])
    other = bench.report.figure("docker compose down", "ms", down["plain"][1:])
    bench.report.ratio(own, other, LIMIT, "down over plain Compose")
    bench.report.figure("docker compose down with IPv6", "ms", down["six"][1:])
    bench.atelier.output("env", "rm", "--yes", "one")


def crowd(bench):
    """Twenty at once, in turns."""
    bench.begin(f"{AT_ONCE} projects up at once")
    names = [f"many-{number}" for number in range(AT_ONCE)]
    for name in names:
        bench.atelier.output("env", "create", name)
    numbers = {name: number for number, name in enumerate(names, 2)}
    kinds = {
        "ours": lambda name, *verb: bench.atelier.argv("env", verb[0], name),
        "plain": lambda name, *verb: plain(bench, name, *verb),
        "six": lambda name, *verb: six(bench, numbers[name], *verb),
    }
    kept = {kind: [] for kind in kinds}
    for _ in range(1 if bench.args.quick else 3):
        for kind, argv in kinds.items():
            seconds, codes = at_once([argv(name, "up", "-d") for name in names])
            if any(codes):
                raise Failed(f"{sum(map(bool, codes))} of {AT_ONCE} failed ({kind})")
            kept[kind].append(seconds * 1000)
            for name in names:
                timed(argv(name, "down"))
    own = bench.report.figure(f"{AT_ONCE} up at once", "ms", kept["ours"])
    other = bench.report.figure(f"{AT_ONCE} docker compose up at once", "ms", kept["plain"])
    bench.report.ratio(own, other, LIMIT, "at once, over plain Compose")
    bench.report.figure(f"{AT_ONCE} docker compose up at once with IPv6", "ms", kept["six"])
    bench.atelier.remove_all()


def listing(bench):
    """`env ls` with many environments, and `env status` of one."""
    bench.begin(f"{ENVIRONMENTS} environments")
    seconds, codes = at_once([bench.atelier.argv("env", "create", f"e{n}") for n in range(ENVIRONMENTS)])
    if any(codes):
        raise Failed(f"{sum(map(bool, codes))} of {ENVIRONMENTS} were not made")
    bench.report.figure(f"{ENVIRONMENTS} env create at once", "ms", [seconds * 1000])
    bench.atelier.output("env", "up", "e0")
    samples = in_turns(bench.runs, {
        "ls": lambda _: timed(bench.atelier.argv("env", "ls")),
        "status": lambda _: timed(bench.atelier.argv("env", "status", "e0")),
    })
    for name, samples_of in samples.items():
        figure = bench.report.figure(f"env {name}", "ms", samples_of)
        bench.report.below(f"env {name}", figure.median, "ms", LIST)
    bench.atelier.remove_all()
