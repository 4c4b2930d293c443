"""Starting programs and taking the time. Results are reported elsewhere."""

import os
import tempfile
import time


class Failed(Exception):
    """A program that was to be measured did not do its work."""


def run(argv, stdin="/dev/null", stdout="/dev/null"):
    """Runs a program to its end; gives the seconds that it took, from spawn to wait."""
    with tempfile.TemporaryFile() as errors:
        to = (os.POSIX_SPAWN_OPEN, 1, stdout, os.O_WRONLY, 0)
        begin = time.perf_counter()
        pid = spawn(argv, stdin, to, errors)
        _, status = os.waitpid(pid, 0)
        seconds = time.perf_counter() - begin
        succeeded(argv, status, errors)
    return seconds


def first_output(argv):
    """Milliseconds from the spawn of a program to the first byte that it prints. It is waited for,
    and must end well."""
    with tempfile.TemporaryFile() as errors:
        ours, theirs = os.pipe()
        begin = time.perf_counter()
        pid = spawn(argv, "/dev/null", (os.POSIX_SPAWN_DUP2, theirs, 1), errors)
        os.close(theirs)
        with open(ours, "rb", buffering=0) as pipe:
            said = pipe.read(1)
            seconds = time.perf_counter() - begin
            while pipe.read(1 << 16):
                pass
        _, status = os.waitpid(pid, 0)
        succeeded(argv, status, errors)
    if not said:
        raise Failed(f"{' '.join(argv)} printed nothing")
    return seconds * 1000


def spawn(argv, stdin, stdout, errors):
    """Starts a program; `stdout` is an action of posix_spawn. The module `subprocess` and fork cost
    more than what is measured."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, stdin, os.O_RDONLY, 0) if isinstance(stdin, str)
        else (os.POSIX_SPAWN_DUP2, stdin, 0),
        stdout,
        (os.POSIX_SPAWN_DUP2, errors.fileno(), 2),
    ]
    return os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions)


def succeeded(argv, status, errors):
    """An error with what the program said unless it ended with 0."""
    if not status:
        return
    errors.seek(0)
    said = errors.read()[-2000:].decode(errors="replace")
    code = os.waitstatus_to_exitcode(status)
    raise Failed(f"{' '.join(argv)} ended with {code}: {said}")


def milliseconds(argv, **files):
    """As [`run`], in milliseconds."""
    return run(argv, **files) * 1000


def in_turns(runs, contestants, warm_up=2, pause=0.0):
    """Runs each contestant `runs` times, all of them in each round, so that a machine's changing
    load falls on all alike. `contestants` maps a name to a function of the round's number that
    gives a sample, or none when it sits this round out. After each, what it left to be done gets
    `pause` seconds."""
    samples = {name: [] for name in contestants}
    for number in range(-warm_up, runs):
        for name, contestant in contestants.items():
            sample = contestant(number + warm_up)
            time.sleep(pause)
            if number >= 0 and sample is not None:
                samples[name].append(sample)
    return samples


def at_once(commands):
    """Starts all commands together and waits for all; gives the seconds and the exit codes."""
    null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1)]
    begin = time.perf_counter()
    pids = [os.posix_spawnp(argv[0], argv, os.environ, file_actions=null) for argv in commands]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    return time.perf_counter() - begin, codes
