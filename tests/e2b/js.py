"""The test-suite of E2B's JS SDK, for `tests/e2b/run`: its tests that ask a server.

The suite imports the SDK as `../src`; here that is the release from npm, unmodified, so what counts is
what users install. Left out are tests of the SDK's inner parts and those whose server is mocked. vitest,
which the suite is written for, comes from npm as well.
"""

import json
import re
import shutil
import subprocess
import sys

TOOLS = ["vitest@4.1.10", "msw@2.12.10", "dotenv@16.4.5"]
PARTS = ["api", "sandbox", "template"]
ASKS = re.compile(r"sandboxTest|buildTemplateTest|Sandbox\.(create|list|connect)\(|Template\.(exists|build\w*)\(")
# What the release gives under its one name; types of other files vanish before anything runs.
RELEASED = re.compile(r"from '(?:\.\./)+src(?:/(?:index|errors|sandbox/filesystem)(?:\.js)?)?'")
INNER = re.compile(r"from '(?:\.\./)+src[^']*'")
MOCKED = re.compile(r"msw/node|vi\.(?:mock|doMock)\(")
# In a file with a mocked server, those of its tests that build for real.
BUILDS = re.compile(r"^buildTemplateTest[^(\n]*\(?[^(\n]*\)?\(\s*'([^']+)'", re.M)
# Builds that fail in the client, to see which line of the test it names.
OFFLINE = ["template/stacktrace.test.ts"]

CONFIG = """\
import { defineConfig } from 'vitest/config'

const source = /^(\\.\\.\\/)+src(\\/.*)?$/
const released = { name: 'released', enforce: 'pre', resolveId(id) { if (source.test(id)) return this.resolve('e2b') } }

export default defineConfig({
  plugins: [released],
  test: { include: ['tests/**/*.test.ts'], testTimeout: 30_000, hookTimeout: 60_000, fileParallelism: false },
})
"""


def suite_of(folder):
    """The folder `tests` of the SDK in what was given."""
    for inside in ["packages/js-sdk/tests", "tests", "."]:
        candidate = folder / inside
        if (candidate / "sandbox").is_dir() and (candidate / "setup.ts").is_file():
            return candidate.resolve()
    sys.exit(f"error: {folder} holds no suite: expected packages/js-sdk/tests of e2b-dev/E2B")


def chosen(suite):
    """The files that ask a server, each with the names of the tests that count, or None for all."""
    files = {}
    for file in sorted(file for part in PARTS for file in (suite / part).rglob("*.test.ts")):
        text, name = file.read_text(), str(file.relative_to(suite))
        inner = [found for found in INNER.findall(text) if not RELEASED.fullmatch(found)]
        if name in OFFLINE or inner or not ASKS.search(text):
            continue
        names = set(BUILDS.findall(text)) if MOCKED.search(text) else None
        if names != set():
            files[name] = names
    return files


def project(work, suite, release, say):
    """A folder with the SDK, vitest and a copy of the tests."""
    home = work / f"js-{release}"
    if not (home / "installed").exists():
        say(f"installing e2b {release} from npm into {home}")
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        (home / "package.json").write_text('{"private":true,"type":"module"}\n')
        npm = ["npm", "install", "--no-audit", "--no-fund", "--silent", f"e2b@{release}", *TOOLS]
        if subprocess.run(npm, cwd=home).returncode != 0:
            sys.exit(f"error: e2b {release} can't be installed: are npm and its registry there?")
        (home / "installed").touch()
    shutil.rmtree(home / "tests", ignore_errors=True)
    shutil.copytree(suite, home / "tests")
    (home / "vitest.config.mjs").write_text(CONFIG)
    return home


def run(suite, home, env, only, timeout, seen_by, say):
    """Runs the tests; the results of each, by file."""
    files = chosen(suite)
    report, log = home / "results.json", home / "output.txt"
    report.unlink(missing_ok=True)
    vitest = [str(home / "node_modules/.bin/vitest"), "run", "--reporter=json", "--reporter=default"]
    command = [*vitest, f"--outputFile.json={report}", *(f"tests/{name}" for name in files)]
    if only:
        command += ["-t", only]
    say(f"running the JS suite; its output goes to {log}")
    with log.open("w") as output:
        try:
            subprocess.run(seen_by(command), cwd=home, env={**env, "NO_COLOR": "1"}, stdin=subprocess.DEVNULL,
                           stdout=output, stderr=subprocess.STDOUT, timeout=timeout)
        except subprocess.TimeoutExpired:
            say(f"the suite was stopped after {timeout} s")
    if not report.exists():
        print(log.read_text()[-4000:], file=sys.stderr)
        sys.exit("error: vitest left no results")
    return read(json.loads(report.read_text()), home / "tests", files)


def read(report, tests, files):
    results = {}
    for file in report["testResults"]:
        name = file["name"].removeprefix(f"{tests}/")
        own = {}
        for test in file["assertionResults"]:
            if files[name] is None or test["title"] in files[name]:
                outcome = {"passed": "passed", "failed": "failed"}.get(test["status"], "skipped")
                why = next(iter(test["failureMessages"]), "").split("\n")[0] or None
                seconds = (test.get("duration") or 0) / 1000
                own[test["fullName"]] = {"outcome": outcome, "why": why, "seconds": seconds}
        if not own and file["status"] == "failed":
            # A file that could not even be loaded is one failure.
            own["(the file)"] = {"outcome": "failed", "why": file.get("message"), "seconds": 0}
        results[name] = own
    return results
