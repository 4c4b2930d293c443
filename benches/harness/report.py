"""Figures, targets, and how both are printed. No measuring here."""

import json
import math

NAME_WIDTH = 56


def percentile(samples, share):
    """The smallest sample that at least `share` of them do not exceed (nearest rank)."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class Figure:
    """Samples of one thing, in one unit."""

    def __init__(self, group, name, unit, samples):
        self.group, self.name, self.unit, self.samples = group, name, unit, list(samples)

    @property
    def min(self):
        return min(self.samples)

    @property
    def median(self):
        return percentile(self.samples, 0.5)

    @property
    def p95(self):
        return percentile(self.samples, 0.95)

    def line(self):
        if len(self.samples) == 1:
            return f"  {self.name:<{NAME_WIDTH}} {'':8}  {number(self.median):>8}  {'':8}  {self.unit}"
        values = "  ".join(f"{number(v):>8}" for v in (self.min, self.median, self.p95))
        return f"  {self.name:<{NAME_WIDTH}} {values}  {self.unit:<4} n={len(self.samples)}"

    def plain(self):
        return {
            "group": self.group, "name": self.name, "unit": self.unit, "min": self.min,
            "median": self.median, "p95": self.p95, "samples": self.samples,
        }


def number(value):
    """Three digits or so: more would pretend a precision that a shared machine does not have."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


class Report:
    """What a run has found, printed as it comes."""

    def __init__(self):
        self.group, self.facts, self.figures, self.checks, self.broken = "", {}, [], [], []

    def fact(self, name, value):
        """Something about the machine or a peer."""
        self.facts[name] = value
        print(f"{name + ':':<16} {value}", flush=True)

    def begin(self, title, busy):
        """A group of figures; `busy` is the share of the processors in use just before it."""
        self.group = title
        print(f"\n{title}  (processors {busy:.0%} busy before)", flush=True)
        print(f"  {'':<{NAME_WIDTH}} {'min':>8}  {'median':>8}  {'p95':>8}", flush=True)

    def note(self, text):
        print(f"  {text}", flush=True)

    def figure(self, name, unit, samples):
        figure = Figure(self.group, name, unit, samples)
        self.figures.append(figure)
        print(figure.line(), flush=True)
        return figure

    def check(self, what, value, unit, target, reached, more=""):
        """One target: whether it is reached, and by what figure; `more` is said after it."""
        self.checks.append({
            "group": self.group, "what": what, "value": value, "unit": unit,
            "target": target, "ok": bool(reached),
        })
        verdict = "ok" if reached else "MISSED"
        text = f"{number(value)} {unit}".strip()
        print(f"  > {what:<{NAME_WIDTH}} {text:<10} target {target:<18} {verdict}{more}", flush=True)

    def ratio(self, ours, theirs, limit, name):
        """The target that our median is at most `limit` of theirs."""
        value = ours.median / theirs.median
        target = f"< {number(limit)} x" if limit != 1 else "faster (< 1 x)"
        least = ours.min / theirs.min
        more = f" (by minimum {number(least)} x)"
        self.check(name, value, "x", target, value < limit, more)

    def below(self, what, value, unit, limit):
        """The target that a value is below `limit`."""
        self.check(what, value, unit, f"< {number(limit)} {unit}", value < limit)

    def broke(self, group, error):
        """A group could not be measured to its end."""
        self.broken.append(f"{group}: {error}")
        print(f"  FAILED: {error}", flush=True)

    def end(self):
        """Prints what was missed; whether every group was measured."""
        missed = [check["what"] for check in self.checks if not check["ok"]]
        print(f"\n{len(self.checks) - len(missed)} of {len(self.checks)} targets reached")
        for what in missed:
            print(f"  MISSED: {what}")
        for what in self.broken:
            print(f"  NOT MEASURED: {what}")
        return not self.broken

    def write(self, path):
        figures = [figure.plain() for figure in self.figures]
        data = {"facts": self.facts, "figures": figures, "checks": self.checks,
                "failed": self.broken}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(data, file, indent=1)
            file.write("\n")
