"""The machine: what it is, how busy it is, and what processes on it use (proc(5))."""

import os
import shutil
import subprocess
import time


def read(path):
    """A file's text, or nothing when it cannot be read: processes come and go."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def output(*argv):
    """The first line that a program prints; nothing when there is no such program."""
    if not shutil.which(argv[0]):
        return ""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    return (done.stdout or done.stderr).strip().split("\n")[0]


def description(folder):
    """(name, value) pairs that say where figures come from."""
    kernel = os.uname()
    yield "processor", f"{processor()}, {os.cpu_count()} cores"
    yield "memory", f"{memory_field('/proc/meminfo', 'MemTotal') / 1024**2:.1f} GiB"
    yield "kernel", f"{kernel.sysname} {kernel.release} {kernel.machine}"
    yield "virtual", "yes" if " hypervisor" in read("/proc/cpuinfo") else "no"
    yield "file system", file_system(folder)
    yield "user", "root" if os.geteuid() == 0 else "not root"
    yield "load average", " ".join(f"{load:.2f}" for load in os.getloadavg())


def processor():
    for line in read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return os.uname().machine


def file_system(folder):
    """The type of the mount that holds a folder."""
    folder, best = os.path.realpath(folder), ("", "unknown")
    for line in read("/proc/self/mounts").splitlines():
        point, kind = line.split(" ")[1:3]
        inside = folder == point or folder.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1]


def busy(seconds=0.5):
    """The share of all processors' time that is in use, by whomever."""
    before = processor_times()
    time.sleep(seconds)
    after = processor_times()
    total = sum(after) - sum(before)
    idle = (after[3] + after[4]) - (before[3] + before[4])
    return 1 - idle / total if total else 0.0


def processor_times():
    return [int(field) for field in read("/proc/stat").split("\n", 1)[0].split()[1:9]]


def memory_field(path, name):
    """A line such as `Pss: 12 kB` of a /proc file, in KiB."""
    for line in read(path).splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1])
    return 0.0


def pss(pid):
    """Memory of a process in MB (10^6), pages that others share counted by their share."""
    return memory_field(f"/proc/{pid}/smaps_rollup", "Pss") * 1024 / 1e6


def rss(pid):
    """Memory of a process in MB (10^6), shared pages counted in full."""
    return memory_field(f"/proc/{pid}/smaps_rollup", "Rss") * 1024 / 1e6


def private(pid):
    """Memory of a process in MiB that nobody shares with it: what its end would free."""
    path = f"/proc/{pid}/smaps_rollup"
    return sum(memory_field(path, f"Private_{kind}") for kind in ("Clean", "Dirty")) / 1024


def forget_peak(pid):
    """Lets the peak of a process's memory count from now on (proc(5), clear_refs)."""
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def peak(pid):
    """The most memory in MB (10^6) that a process has had, since [`forget_peak`]."""
    return memory_field(f"/proc/{pid}/status", "VmHWM") * 1024 / 1e6


def ticks(pid):
    """Processor time that a process has used, in clock ticks (utime + stime)."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12]) if fields else 0


def with_children(pid):
    """Seconds of processor time of a process and of its children that it has waited for."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def on_processor(pid):
    """Seconds that the threads of a process were on a processor, exact where ticks are too long."""
    texts = [read(f"/proc/{pid}/task/{task}/schedstat") for task in os.listdir(f"/proc/{pid}/task")]
    return sum(int(text.split()[0]) for text in texts if text) / 1e9


def wakeups(pid):
    """How often the threads of a process have waited and been woken."""
    threads = os.listdir(f"/proc/{pid}/task")
    field = "voluntary_ctxt_switches"
    return sum(int(memory_field(f"/proc/{pid}/task/{t}/status", field)) for t in threads)


def processes_of(home):
    """Processes that have a path of `home` on their command line, and their descendants."""
    parents, found = {}, set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        parents[int(pid)] = int(fields[1]) if fields else 0
        if home in read(f"/proc/{pid}/cmdline"):
            found.add(int(pid))
    found.discard(os.getpid())
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return found
        found |= more


def mounts_below(folder):
    """Mounts below a folder, as this process sees them."""
    return [line for line in read("/proc/self/mountinfo").splitlines() if folder in line]
