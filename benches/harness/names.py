"""Our DNS server and dnsmasq with the same names: how many questions a second, how long each takes,
and how soon a changed address is served."""

import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
import time

from harness.measure import Failed, in_turns
from harness.report import percentile

NAMES = 400
CLIENTS = 16
SECONDS = 2
LIMIT = 30
#: The share of dnsmasq's rate that is to be reached, and the longest that 99 of 100 answers take.
LEAST_RATE, LONGEST = 0.8, 1.0


class Server:
    """A server that is up: its process and its port."""

    def __init__(self, process, port):
        self.process, self.port = process, port

    def ready(self):
        """Waits for the first answer."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Failed(f"{self.process.args[0]} has ended")
            if self.ask("s1.env.test") == "10.201.0.1":
                return
            time.sleep(0.05)
        raise Failed(f"{self.process.args[0]} does not answer")

    def ask(self, name):
        """The first address of a name, or none."""
        labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
        query = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(1)
            asking.connect(("127.0.0.1", self.port))
            try:
                asking.send(query)
                reply = asking.recv(4096)
            except OSError:
                return None
        if struct.unpack(">H", reply[6:8])[0] == 0:
            return None
        return socket.inet_ntoa(reply[len(query) + 12:len(query) + 16])

    def perf(self, *more):
        """Runs dnsperf against it, and gives what it prints."""
        with tempfile.NamedTemporaryFile("w", suffix=".queries") as file:
            file.write("".join(f"s{n}.env.test A\n" for n in range(NAMES)))
            file.flush()
            argv = ["dnsperf", "-s", "127.0.0.1", "-p", str(self.port), "-d", file.name,
                    "-c", str(CLIENTS), "-q", str(CLIENTS), "-l", str(SECONDS), *more]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False)
        good = re.search(r"NOERROR \d+ \(100\.00%\)", done.stdout)
        if not good or "Queries lost:         0 " not in done.stdout:
            raise Failed(f"dnsperf: {done.stdout[-600:]}{done.stderr[-300:]}")
        return done.stdout

    def rate(self):
        """Answers a second."""
        return float(re.search(r"Queries per second:\s+([\d.]+)", self.perf()).group(1))

    def latencies(self, *more):
        """Milliseconds of each answer."""
        return [float(line.split()[-1]) * 1000 for line in self.perf("-v", *more).splitlines()
                if line.startswith("> NOERROR")]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(LIMIT)


class Ours(Server):
    """Atelier's server, in the program `names`."""

    def __init__(self, binary):
        process = subprocess.Popen([binary, "127.0.0.1:0", str(NAMES)], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        super().__init__(process, int(process.stdout.readline().rpartition(":")[2]))

    def change(self, name, address):
        self.process.stdin.write(f"{name} {address}\n")
        self.process.stdin.flush()


class Dnsmasq(Server):
    """dnsmasq with a file of hosts, which it reads anew on SIGHUP; `address=` would need a restart."""

    def __init__(self, folder):
        self.hosts = os.path.join(folder, "hosts")
        self.addresses = {f"s{n}.env.test": f"10.201.{n >> 8}.{n & 255}" for n in range(NAMES)}
        self.write()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        user = ["--user=root"] if os.geteuid() == 0 else []
        super().__init__(subprocess.Popen([
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", f"--port={port}",
            "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv", "--no-hosts",
            f"--addn-hosts={self.hosts}", "--local=/test/", "--pid-file=", *user]), port)

    def write(self):
        with open(self.hosts, "w", encoding="utf-8") as file:
            file.writelines(f"{address} {name}\n" for name, address in self.addresses.items())

    def change(self, name, address):
        self.addresses[name] = address
        self.write()
        self.process.send_signal(signal.SIGHUP)


def rate(bench):
    """Questions by UDP from many clients at once, each waiting for its answer."""
    report = bench.report
    ours, theirs = bench.servers
    bench.begin(f"{NAMES} names, {CLIENTS} clients, UDP on loopback")
    rounds = max(3, min(bench.runs // 5, 10))
    samples = in_turns(rounds, {"ours": lambda _: ours.rate(), "dnsmasq": lambda _: theirs.rate()},
                       warm_up=1)
    mine = report.figure("Atelier, answers a second", "1/s", samples["ours"])
    peer = report.figure("dnsmasq, answers a second", "1/s", samples["dnsmasq"])
    share = mine.median / peer.median
    best = f" (by the best rounds {max(mine.samples) / max(peer.samples):.2f} x)"
    report.check("rate, of dnsmasq's", share, "x", f">= {LEAST_RATE} x", share >= LEAST_RATE, best)
    for title, more in (("as many as possible", ()), ("5,000 a second", ("-Q", "5000"))):
        taken = in_turns(rounds, {
            "ours": lambda _, more=more: tail(ours.latencies(*more)),
            "dnsmasq": lambda _, more=more: tail(theirs.latencies(*more))}, warm_up=0)
        for place, name in enumerate(("p50", "p99")):
            a = report.figure(f"Atelier, {name}, {title}", "ms", [t[place] for t in taken["ours"]])
            b = report.figure(f"dnsmasq, {name}, {title}", "ms", [t[place] for t in taken["dnsmasq"]])
            report.note(f"{name}, {title}: {a.median / b.median:.2f} x of dnsmasq's")
        report.below(f"p99, {title}", a.median, "ms", LONGEST)


def tail(samples):
    return percentile(samples, 0.5), percentile(samples, 0.99)


def change(bench):
    """From the moment that a server is told of an address until it answers with it."""
    bench.begin("A changed address")

    def once(server):
        def measure(number):
            address = f"10.202.{number >> 8}.{number & 255}"
            begin = time.perf_counter()
            server.change("s7.env.test", address)
            while server.ask("s7.env.test") != address:
                if time.perf_counter() - begin > LIMIT:
                    raise Failed("a change is not served")
            return (time.perf_counter() - begin) * 1000
        return measure

    ours, theirs = bench.servers
    samples = in_turns(bench.runs, {"ours": once(ours), "dnsmasq": once(theirs)})
    mine = bench.report.figure("Atelier, told over a pipe", "ms", samples["ours"])
    bench.report.figure("dnsmasq, hosts file and SIGHUP", "ms", samples["dnsmasq"])
    bench.report.below("a changed address is served", mine.median, "ms", 10)
