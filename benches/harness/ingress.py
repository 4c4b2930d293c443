"""Requests to a web server in a sandbox by way of the ingress, beside nginx as a reverse proxy
before the very same server: nginx and its client stand in the sandbox's network namespace."""

import os
import re
import shutil
import subprocess
import time

from harness import machine
from harness.measure import Failed, in_turns
from harness.plane import guest_path, start

SERVER, PROXY = 8000, 8001
CONNECTIONS = (1, 50)
SECONDS = 4
BODY = "x" * 1024
#: wrk's own words are rounded; its script is told microseconds.
SCRIPT = """done = function(summary, latency, requests)
  io.write(string.format("figures %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    summary.errors.connect + summary.errors.read + summary.errors.status + summary.errors.timeout))
end
"""
COMMON = """daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}.log; {more}
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/{name};
proxy_temp_path {folder}/{name}-p; fastcgi_temp_path {folder}/{name}-f;
uwsgi_temp_path {folder}/{name}-u; scgi_temp_path {folder}/{name}-s; {http} }}
"""
SERVE = 'server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{body}"; }} }}'
PASS = """upstream server {{ server 127.0.0.1:{to}; keepalive 64; keepalive_requests 1000000000; }}
server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://server; proxy_http_version 1.1;
proxy_set_header Connection ""; }} }}"""


def ingress(bench):
    report, plane = bench.report, bench.plane
    bench.begin(f"Ingress: a {len(BODY)} byte answer of nginx in a sandbox (host)")
    for program in ("nginx", "wrk", "nsenter"):
        if not shutil.which(program):
            report.note(f"there is no {program}: not measured")
            return
    script = write(bench, "figures.lua", SCRIPT)
    before = plane.processes()
    detail = plane.create("host", public=True)
    proxy = None
    try:
        served = serve(plane, detail["id"])
        enter = network_of(plane.processes() - before)
        proxy = subprocess.Popen([*enter, "nginx", "-c", proxy_settings(bench)])
        time.sleep(1)
        host = detail["host"].replace("{port}", str(SERVER))
        outside = plane.status["ingress"]
        ways = {
            "direct": [*enter, "wrk", f"http://127.0.0.1:{SERVER}/"],
            "nginx": [*enter, "wrk", f"http://127.0.0.1:{PROXY}/"],
            "ingress": ["wrk", "-H", f"Host: {host}", f"http://{outside}/"],
        }
        for connections in CONNECTIONS:
            compare(bench, ways, script, connections)
        del served
    finally:
        if proxy:
            proxy.terminate()
            proxy.wait(20)
        plane.remove(detail["id"])


def compare(bench, ways, script, connections):
    """One table: requests per second, and what each way adds to a request."""
    report, rounds = bench.report, 1 if bench.args.quick else 5
    found = in_turns(rounds, {name: load(argv, script, connections) for name, argv in ways.items()},
                     warm_up=0)
    rates, added = {}, {}
    for name, samples in found.items():
        title = f"{name}, {connections} connection{'s' * (connections > 1)}"
        rates[name] = report.figure(f"{title}: requests", "1/s", [one[0] for one in samples])
        added[name] = [report.figure(f"{title}: {share}", "ms", [one[at] / 1000 for one in samples])
                       for at, share in ((1, "p50"), (2, "p99"))]
    for name in ("nginx", "ingress"):
        more = [figure.median - direct.median
                for figure, direct in zip(added[name], added["direct"])]
        report.note(f"    {name} adds {more[0]:.3f} ms at p50, {more[1]:.3f} ms at p99")
    share = rates["ingress"].median / rates["nginx"].median
    report.note(f"    ingress against nginx: {share:.2f} x the requests")


def load(argv, script, connections):
    """A contestant: (requests per second, p50 and p99 in microseconds)."""
    at = argv.index("wrk")
    options = ["-t1", f"-c{connections}", f"-d{SECONDS}s", "-s", script]
    whole = [*argv[:at + 1], *options, *argv[at + 1:]]

    def once(_):
        done = subprocess.run(whole, capture_output=True, text=True, timeout=60, check=False)
        figures = re.search(r"figures (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
        if not figures:
            raise Failed(f"{' '.join(whole)}: {done.stdout} {done.stderr}")
        count, duration, p50, p99, errors = map(int, figures.groups())
        if errors or not count:
            raise Failed(f"{' '.join(whole)}: {errors} errors: {done.stdout[-500:]}")
        return count * 1e6 / duration, p50, p99
    return once


def serve(plane, sandbox):
    """Starts the web server in the sandbox; what has to be kept while it runs."""
    wire = plane.connection()
    text = COMMON.format(folder="/tmp", name="server", more="master_process off;",
                         http=SERVE.format(port=SERVER, body=BODY)).encode()
    wire.send("POST", guest_path(sandbox, "/files?path=/tmp/server.conf"), text,
              "application/octet-stream")
    wire.answer().json("the upload")
    events = start(wire, guest_path(sandbox), shutil.which("nginx"), "-c", "/tmp/server.conf")
    next(events)
    time.sleep(1)
    return wire, events


def proxy_settings(bench):
    """nginx as it is usually set: a worker for each processor, connections to the server kept."""
    return write(bench, "proxy.conf", COMMON.format(
        folder=bench.folder, name="proxy", more="worker_processes auto; user root;",
        http=PASS.format(port=PROXY, to=SERVER)))


def network_of(pids):
    """What goes before a command so that it runs in a sandbox's network namespace."""
    own = os.readlink("/proc/self/ns/net")
    for pid in pids:
        try:
            if os.readlink(f"/proc/{pid}/ns/net") != own:
                return ["nsenter", "--target", str(pid), "--net"]
        except OSError:
            continue
    said = [machine.read(f"/proc/{pid}/comm").strip() for pid in pids]
    raise Failed(f"no process of the sandbox has a network of its own: {said}")


def write(bench, name, text):
    path = os.path.join(bench.folder, name)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return path
