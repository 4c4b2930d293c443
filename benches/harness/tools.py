"""Tools beside ATK: the same plugins in a home of each."""

import os
import subprocess

from harness import measure
from harness.measure import Failed

PLUGINS, FASTER = 20, 20
AGENTS = ("claude", "codex", "gemini", "auggie", "opencode")

PLUGIN = """schema_version: "2026-08-20"
name: bench-{number}
description: One of many
maturity: verified
env_vars:
  - {{name: BENCH_URL, default: "http://localhost:{port}"}}
  - {{name: BENCH_TOKEN, secret: true}}
{service}mcp: {{transport: stdio, command: bash, args: ["$ATK_PLUGIN_DIR/mcp.sh"], env: [BENCH_URL, BENCH_TOKEN]}}
"""
#: What five of the twenty plugins of ATK's public registry have.
SERVICE = 'lifecycle: {start: "true", stop: "true", status: "true"}\n'


def plugins(folder):
    """Folders of plugins that only differ in their numbers; every fourth has a service."""
    folders = []
    for number in range(PLUGINS):
        path = os.path.join(folder, "plugins", f"bench-{number}")
        os.makedirs(path)
        with open(os.path.join(path, "plugin.yaml"), "w", encoding="utf-8") as file:
            service = "" if number % 4 else SERVICE
            file.write(PLUGIN.format(number=number, port=9000 + number, service=service))
        with open(os.path.join(path, "mcp.sh"), "w", encoding="utf-8") as file:
            file.write("exec cat\n")
        folders.append(path)
    return folders


def said(argv):
    """What a command prints; an error when it fails. ATK asks for settings also where nobody is: each gets
    an empty answer."""
    done = subprocess.run(argv, input="\n" * 20, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def show(bench):
    """What is installed, and how it is."""
    bench.begin(f"{PLUGINS} tools shown")
    contestants = {
        "ls": lambda _: measure.milliseconds(bench.atelier.argv("tool", "ls")),
        "status": lambda _: measure.milliseconds(bench.atelier.argv("tool", "status")),
        "atk": lambda _: measure.milliseconds([bench.atk, "status"]),
    }
    samples = measure.in_turns(bench.runs, contestants)
    theirs = bench.report.figure("atk status", "ms", samples["atk"])
    for name in ("ls", "status"):
        ours = bench.report.figure(f"tool {name}", "ms", samples[name])
        bench.report.ratio(ours, theirs, 1 / FASTER, f"tool {name}, over atk status")


def plug(bench):
    """Five tools into five agents, and out again."""
    bench.begin("5 tools into 5 agents")
    names = [f"bench-{number}" for number in range(5)]
    flags = [f"--{agent}" for agent in AGENTS]
    unplug = bench.atelier.argv("tool", "unplug", *names, *flags)
    said(bench.atelier.argv("tool", "plug", *names, *flags))
    said(unplug)

    def ours(_):
        sample = measure.milliseconds(bench.atelier.argv("tool", "plug", *names, *flags))
        said(unplug)
        return sample

    contestants = {"ours": ours}
    if bench.agents:
        contestants["atk"] = lambda _: atk_plug(bench, names, flags)
    samples = measure.in_turns(3 if bench.args.quick else 10, contestants, warm_up=1)
    own = bench.report.figure("tool plug, 5 tools, 5 agents", "ms", samples["ours"])
    if bench.agents:
        other = bench.report.figure("atk plug, 5 times, 5 agents", "ms", samples["atk"])
        bench.report.ratio(own, other, 1 / FASTER, "tool plug, over atk plug")
    else:
        bench.report.note("ATK plugs through the agents' own programs: --agents FOLDER to have it measured")


def atk_plug(bench, names, flags):
    """ATK takes one plugin at a time."""
    total = sum(measure.milliseconds([bench.atk, "plug", name, *flags, "-y"]) for name in names)
    for name in names:
        said([bench.atk, "unplug", name, *flags, "-y"])
    return total
