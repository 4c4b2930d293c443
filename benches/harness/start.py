"""How long `atelier run` takes, in a new environment and in one that exists, beside its peers."""

import os

from harness.docker import IMAGE
from harness.measure import in_turns, milliseconds, run

BWRAP = ["bwrap", "--dev-bind", "/", "/", "true"]
DOCKER_RUN = ["docker", "run", "--rm", IMAGE, "true"]


def new(bench):
    """Environments that did not exist: the first of all, which makes the base, and later ones."""
    report, runs = bench.report, bench.new_runs
    bench.begin("A new environment of a 5,000-file, 200 MB project: atelier run NEW -- true")
    starts, firsts = firsts_of_homes(bench)
    report.figure("atelier: the control plane's start", "ms", starts)
    first = report.figure("atelier: the first environment, with the base", "ms", firsts)
    later = in_turns(runs, {
        "atelier": lambda i: milliseconds(bench.atelier.argv("run", f"new{i}", "--", "true")),
        "atelier --rm": lambda i: milliseconds(
            bench.atelier.argv("run", "--rm", f"gone{i}", "--", "true")),
        **({"docker": lambda i: milliseconds(DOCKER_RUN)} if bench.docker else {}),
    })
    ours = report.figure("atelier: from the second on", "ms", later["atelier"])
    report.figure("atelier: the same, removed again (--rm)", "ms", later["atelier --rm"])
    bench.atelier.remove_all()
    copied = report.figure("cp -r PROJECT NEW && bwrap --dev-bind / / true", "ms",
                           copies_with_bwrap(bench, min(runs, 5)))
    report.note(f"the first environment takes {first.median / copied.median:.2f} x of cp -r && bwrap")
    report.ratio(ours, copied, 1, "new against cp -r && bwrap")
    if bench.docker:
        plain = report.figure("docker run --rm IMAGE true", "ms", later["docker"])
        whole = report.figure("docker run --rm, the project copied in", "ms",
                              copies_with_docker(bench, min(runs, 5)))
        report.ratio(ours, whole, 1, "new against docker run with the project copied in")
        report.ratio(ours, plain, 0.2, "new against docker run alone")


def firsts_of_homes(bench):
    """Milliseconds until a control plane answers and then of the first environment of all, for a
    few new homes; the last one stays."""
    starts, firsts = [], []
    for _ in range(bench.first_runs):
        bench.atelier.renew()
        os.sync()
        starts.append(milliseconds(bench.atelier.argv("env", "ls")))
        firsts.append(milliseconds(bench.atelier.argv("run", "first", "--", "true")))
    return starts, firsts


def copies_with_bwrap(bench, runs):
    """The copies are kept until the end, for the reason that [`Atelier.renew`] has."""
    samples = []
    for number in range(runs):
        copy = os.path.join(bench.folder, f"copy{number}")
        os.sync()
        seconds = run(["cp", "-r", bench.project, copy])
        os.chdir(copy)
        samples.append((seconds + run(BWRAP)) * 1000)
        os.chdir(bench.project)
    return samples


def copies_with_docker(bench, runs):
    script = "cp -r /project /work && cd /work && true"
    argv = ["docker", "run", "--rm", "--volume", f"{bench.project}:/project:ro", IMAGE,
            "sh", "-c", script]
    samples = []
    for _ in range(runs):
        os.sync()
        samples.append(milliseconds(argv))
    return samples


def existing(bench):
    """An environment that exists and whose sandbox runs."""
    report = bench.report
    bench.begin("An existing environment: atelier run ENV -- true")
    bench.atelier.output("run", "existing", "--", "true")
    names = {
        "atelier run ENV -- true": bench.atelier.argv("run", "existing", "--", "true"),
        "bwrap --dev-bind / / true": BWRAP,
        "true": ["true"],
        "atelier version": bench.atelier.argv("version"),
    }
    contestants = {name: of(argv) for name, argv in names.items()}
    figures = {name: report.figure(name, "ms", samples)
               for name, samples in in_turns(bench.runs, contestants).items()}
    ours, bwrap = figures["atelier run ENV -- true"], figures["bwrap --dev-bind / / true"]
    report.ratio(ours, bwrap, 3, "existing against bare bwrap")
    if bench.docker:
        docker(bench)


def docker(bench):
    """Apart from the others, since an engine goes on working after its client has ended."""
    report, resident = bench.report, bench.docker.resident()
    turns = in_turns(bench.runs, {
        "atelier": of(bench.atelier.argv("run", "existing", "--", "true")),
        "run": of(DOCKER_RUN),
        "exec": of(["docker", "exec", resident, "true"]),
    })
    ours = report.figure("atelier run ENV -- true, in turns with docker", "ms", turns["atelier"])
    whole = report.figure("docker run --rm IMAGE true", "ms", turns["run"])
    inside = report.figure("docker exec RUNNING true", "ms", turns["exec"])
    bench.docker.remove(resident)
    report.ratio(ours, whole, 0.05, "existing against docker run")
    report.note(f"existing against docker exec: {ours.median / inside.median:.3f} x")


def of(argv):
    """A contestant that runs the same each time."""
    return lambda _: milliseconds(argv)
