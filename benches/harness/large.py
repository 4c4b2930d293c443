"""Environments of a project of 20,000 files: the first beside `cp -a`, and those after it."""

import os

from harness import project
from harness.measure import milliseconds

FILES, SIZE = 20_000, 138 * 10**6
LATER = 20


def large(bench):
    """The first environment of a home copies the project once; later ones lie upon that copy."""
    report, atelier = bench.report, bench.atelier
    bench.begin(f"A project of {FILES:,} files, {SIZE / 1e6:.0f} MB: atelier env create")
    place = os.path.join(bench.folder, "large")
    os.mkdir(place)
    project.make(place, FILES, SIZE)
    os.chdir(place)
    try:
        firsts, copies = [], []
        for number in range(bench.first_runs + 1):
            first, copy = side_by_side(bench, place, number)
            # The first pair finds the project's files cold, or not: it does not count.
            if number:
                firsts.append(first)
                copies.append(copy)
        ours = report.figure("the first environment", "ms", firsts)
        theirs = report.figure("cp -a --reflink=auto PROJECT COPY", "ms", copies)
        report.ratio(ours, theirs, 1, "the first environment against cp -a")
        later(bench)
        atelier.remove_all()
    finally:
        os.chdir(bench.project)


def side_by_side(bench, place, number):
    """Milliseconds of a first environment, and of a copy, in alternating order."""
    samples = {}
    for contestant in ("ours", "copy") if number % 2 else ("copy", "ours"):
        os.sync()
        if contestant == "ours":
            bench.atelier.renew()
            bench.atelier.output("env", "ls")
            samples["ours"] = milliseconds(bench.atelier.argv("env", "create", "first"))
        else:
            copy = os.path.join(bench.folder, f"large-copy{number}")
            samples["copy"] = milliseconds(["cp", "-a", "--reflink=auto", place, copy])
    return samples["ours"], samples["copy"]


def later(bench):
    """Environments after the first, and what they take on disk."""
    report, atelier = bench.report, bench.atelier
    before = used(atelier.home)
    samples = [milliseconds(atelier.argv("env", "create", f"later{i}")) for i in range(LATER)]
    figure = report.figure("an environment after it", "ms", samples)
    report.below("an environment after the first (p50)", figure.median, "ms", 50)
    each = (used(atelier.home) - before) / LATER / 1024
    report.below("what each of these takes on disk", each, "KiB", 256)


def used(folder):
    """Bytes on disk below a folder, each file once."""
    seen, total = set(), 0
    for place, folders, names in os.walk(folder):
        for name in folders + names:
            try:
                found = os.lstat(os.path.join(place, name))
            except FileNotFoundError:
                continue
            if found.st_ino not in seen:
                seen.add(found.st_ino)
                total += found.st_blocks * 512
    return total
