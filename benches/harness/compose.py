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
    git(place, "init", "-q", "-b", "main")
    git(place, "add", "-A")
    git(place, "commit", "-q", "-m", "first")
    return place


def plain(bench, name, *arguments):
    return [bench.compose, "--progress", "quiet", "-p", name, *arguments]


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
    down = {"ours": [], "plain": []}

    def ours(_):
        took = timed(bench.atelier.argv("env", "up", "one"))
        down["ours"].append(timed(bench.atelier.argv("env", "down", "one")))
        return took

    def theirs(_):
        took = timed(plain(bench, "plain", "up", "-d"))
        down["plain"].append(timed(plain(bench, "plain", "down")))
        return took

    runs = min(bench.runs, 15)
    samples = in_turns(runs, {"ours": ours, "plain": theirs}, warm_up=1)
    own = bench.report.figure("up", "ms", samples["ours"])
    other = bench.report.figure("docker compose up", "ms", samples["plain"])
    bench.report.ratio(own, other, LIMIT, "up over plain Compose")
    own = bench.report.figure("down", "ms", down["ours"][1:])
    other = bench.report.figure("docker compose down", "ms", down["plain"][1:])
    bench.report.ratio(own, other, LIMIT, "down over plain Compose")
    bench.atelier.output("env", "rm", "--yes", "one")


def crowd(bench):
    """Twenty at once, in turns."""
    bench.begin(f"{AT_ONCE} projects up at once")
    names = [f"many-{number}" for number in range(AT_ONCE)]
    for name in names:
        bench.atelier.output("env", "create", name)
    kept = {"ours": [], "plain": []}
    for _ in range(1 if bench.args.quick else 3):
        for kind, argv in (
            ("ours", lambda name: bench.atelier.argv("env", "up", name)),
            ("plain", lambda name: plain(bench, name, "up", "-d")),
        ):
            seconds, codes = at_once([argv(name) for name in names])
            if any(codes):
                raise Failed(f"{sum(map(bool, codes))} of {AT_ONCE} failed ({kind})")
            kept[kind].append(seconds * 1000)
            for name in names:
                timed(bench.atelier.argv("env", "down", name) if kind == "ours"
                      else plain(bench, name, "down"))
    own = bench.report.figure(f"{AT_ONCE} up at once", "ms", kept["ours"])
    other = bench.report.figure(f"{AT_ONCE} docker compose up at once", "ms", kept["plain"])
    bench.report.ratio(own, other, LIMIT, "at once, over plain Compose")
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
