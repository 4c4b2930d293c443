"""What every bench's command line and run have in common: options, the temporary folder, the
report, cleaning up. What is measured stands in the groups."""

import argparse
import os
import shutil
import signal
import sys
import tempfile

from harness import machine
from harness.docker import Docker
from harness.measure import Failed
from harness.report import Report


def parser(name, doc, groups):
    """The options that all benches have."""
    made = argparse.ArgumentParser(
        prog=f"benches/{name}", description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    made.add_argument("--atelier", metavar="PATH", default=f"{target}/release/atelier",
                      help="the binary to measure (default: %(default)s)")
    made.add_argument("--runs", metavar="N", type=int, default=50,
                      help="samples of what is quick (default: 50)")
    made.add_argument("--quick", action="store_true", help="few samples: a look, no measurement")
    made.add_argument("--skip-docker", action="store_true", help="leave Docker out")
    made.add_argument("--json", metavar="FILE", help="write all samples there too")
    made.add_argument("--dir", metavar="FOLDER", help="make the temporary folder there")
    made.add_argument("--only", metavar="GROUP", action="append", choices=groups,
                      help=f"only this group, of {', '.join(groups)} (repeatable)")
    return made


class Bench:
    """One run: the report and the peers. Those who inherit add `prepare` and `clean`."""

    def __init__(self, args, folder):
        self.args, self.folder, self.report, self.docker = args, folder, Report(), None
        self.runs = min(args.runs, 8) if args.quick else args.runs
        self.binary = os.path.abspath(args.atelier)

    def begin(self, title):
        self.report.begin(title, machine.busy())

    def start_docker(self, tree):
        """Makes the peer ready with an image of these files, unless it is left out."""
        if not self.args.skip_docker:
            folder = os.path.join(self.folder, "docker")
            os.mkdir(folder)
            self.docker = Docker(folder, tree, getattr(self.args, "firewall", False))
            self.docker.ready()
            self.report.fact("docker", self.docker.versions())

    def describe(self):
        """Says what is measured where."""
        for name, value in machine.description(self.folder):
            self.report.fact(name, value)
        self.report.fact("atelier", machine.output(self.binary, "version"))


def missing(args, programs):
    """What has to be there first, as (what, how to get it)."""
    if not os.access(args.atelier, os.X_OK):
        yield f"no binary at {args.atelier}", "cargo build --release, or --atelier PATH"
    for program, package in programs.items():
        if not shutil.which(program):
            yield f"no {program}", f"apt install {package}"
    if not args.skip_docker and not shutil.which("docker"):
        yield "no docker", "apt install docker.io iproute2, or --skip-docker"


def main(name, args, wanting, kind, groups):
    """Runs the groups that were asked for, and cleans up whatever happens. The exit code is 1 when a
    group could not be measured; a target that is missed is no failure of the bench."""
    for what, remedy in wanting:
        print(f"{name}: {what}: {remedy}", file=sys.stderr)
    if wanting:
        return 2
    # What is in the caller's environment must not change what is measured.
    for variable in [variable for variable in os.environ if variable.startswith("ATELIER_")]:
        del os.environ[variable]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    json = args.json and os.path.abspath(args.json)
    with tempfile.TemporaryDirectory(prefix="atelier-bench-", dir=args.dir) as folder:
        bench = kind(args, os.path.realpath(folder))
        try:
            bench.prepare()
            for group in args.only or groups:
                try:
                    groups[group](bench)
                except Failed as error:
                    bench.report.broke(group, error)
        finally:
            bench.clean()
            if json:
                bench.report.write(json)
    return 0 if bench.report.end() else 1
