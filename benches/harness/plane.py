"""A control plane of the bench's own, and its sandboxes as a program sees them: over HTTP, on kept
connections."""

import json
import os
import signal
import subprocess
import time

from harness import machine
from harness.atelier import Atelier
from harness.measure import Failed
from harness.wire import STREAM, Connection, frame, output

API = "/api/v1/sandboxes"
IMAGE = "bench:latest"
PATIENCE = 60
#: The port of the guest itself, in the protocol of the E2B SDKs.
GUEST_PORT = 49983
SETTINGS = {"ATELIER_INGRESS": "127.0.0.1:0", "ATELIER_SSH": "off"}


class Plane(Atelier):
    """A control plane that serves one home, and calls to it."""

    def __init__(self, binary, home, log):
        super().__init__(binary, home)
        with open(log, "wb") as file:
            self.process = subprocess.Popen(
                self.argv("serve", "--listen", "127.0.0.1:0"), stdin=subprocess.DEVNULL,
                stdout=file, stderr=file, env={**os.environ, **SETTINGS}, start_new_session=True)
        self.pid, self.log = self.process.pid, log
        self.wait()
        self.wire = self.connection()

    def wait(self):
        """Waits until it answers."""
        deadline = time.monotonic() + PATIENCE
        while not os.path.exists(self.socket()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"the control plane did not start: {machine.read(self.log)[-800:]}")
            time.sleep(0.02)
        self.status = json.loads(self.output("status", "--json"))

    def socket(self):
        return os.path.join(self.home, "atelier.sock")

    def connection(self):
        return Connection(self.socket())

    def like_an_sdk(self, detail):
        """A connection to a sandbox's guest as the E2B SDKs make it: TCP, with their headers."""
        host, port = self.status["listen"].rsplit(":", 1)
        return Connection((host, int(port)), {
            "E2b-Sandbox-Id": detail["id"], "E2b-Sandbox-Port": GUEST_PORT,
            "X-Access-Token": detail["access_token"]})

    def runtimes(self):
        """The runtimes that work here: name to what was found out."""
        return {one["name"]: one for one in json.loads(self.output("runtime", "ls", "--json"))
                if one["available"]}

    def create(self, runtime="oci", wire=None, **options):
        """Makes a sandbox; what is told of it."""
        image = {} if runtime == "host" else {"image": IMAGE}
        return (wire or self.wire).ask("POST", API, {"runtime": runtime, **image, **options})

    def change(self, sandbox, what, value=None, wire=None):
        """An operation on one sandbox, such as stop."""
        return (wire or self.wire).ask("POST", f"{API}/{sandbox}/{what}", value)

    def remove(self, sandbox, wire=None):
        (wire or self.wire).ask("DELETE", f"{API}/{sandbox}")

    def all(self):
        return [one["id"] for one in self.wire.ask("GET", API)]

    def processes(self):
        """The processes of all sandboxes."""
        return machine.processes_of(self.home) - {self.pid}

    def end(self):
        """Removes the sandboxes, ends the control plane."""
        try:
            if self.process.poll() is None:
                self.wire = self.connection()
                for sandbox in self.all():
                    self.remove(sandbox)
        finally:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def guest_path(sandbox, path=""):
    """Where a sandbox's guest is in our API."""
    return f"{API}/{sandbox}/guest{path}"


def start(wire, root, *argv):
    """Starts a command in the guest below `root`; the events of it as they come."""
    config = {"cmd": argv[0], "args": argv[1:]}
    body = frame({"process": config, "stdin": False})
    wire.send("POST", f"{root}/process.Process/Start", body, STREAM)
    answer = wire.answer()
    if answer.status != 200:
        answer.json(f"the start of {' '.join(argv)}")
    return answer.messages()


def run(wire, root, *argv):
    """Runs a command to its end; what it printed."""
    printed = b""
    for event in start(wire, root, *argv):
        printed += output(event)
        ended = event["event"].get("end")
    if not ended or ended.get("exitCode"):
        raise Failed(f"{' '.join(argv)} in the sandbox ended with {ended}: {printed[-300:]}")
    return printed


def greet(wire, sandbox):
    """When (perf_counter) the first output of a sandbox's command arrived. It is waited for."""
    arrived = None
    for event in start(wire, guest_path(sandbox), "echo", "hello"):
        if arrived is None and output(event):
            arrived = time.perf_counter()
    if arrived is None:
        raise Failed(f"no output came from the sandbox {sandbox}")
    return arrived
