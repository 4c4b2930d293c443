"""Starting programs and taking the time. Results are reported elsewhere."""

import os
import tempfile
import time


class Failed(Exception):
    """A program that was to be measured did not do its work."""


def run(argv, stdin="/dev/null", stdout="/dev/null"):
    """Runs a program to its end; gives the seconds that it took, from spawn to wait."""
    with tempfile.TemporaryFile() as errors:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, stdin, os.O_RDONLY, 0) if isinstance(stdin, str)
            else (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_OPEN, 1, stdout, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, errors.fileno(), 2),
        ]
        # posix_spawn, because fork and the module `subprocess` cost more than what is measured.
        begin = time.perf_counter()
        pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions)
        _, status = os.waitpid(pid, 0)
        seconds = time.perf_counter() - begin
        if status:
            errors.seek(0)
            said = errors.read()[-2000:].decode(errors="replace")
            code = os.waitstatus_to_exitcode(status)
            raise Failed(f"{' '.join(argv)} ended with {code}: {said}")
    return seconds


def milliseconds(argv, **files):
    """As [`run`], in milliseconds."""
    return run(argv, **files) * 1000


def in_turns(runs, contestants, warm_up=2):
    """Runs each contestant `runs` times, all of them in each round, so that a machine's changing
    load falls on all alike. `contestants` maps a name to a function of the round's number that
    gives a sample."""
    samples = {name: [] for name in contestants}
    for number in range(-warm_up, runs):
        for name, contestant in contestants.items():
            sample = contestant(number + warm_up)
            if number >= 0:
                samples[name].append(sample)
    return samples


def at_once(commands):
    """Starts all commands together and waits for all; gives the seconds and the exit codes."""
    null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1)]
    begin = time.perf_counter()
    pids = [os.posix_spawnp(argv[0], argv, os.environ, file_actions=null) for argv in commands]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    return time.perf_counter() - begin, codes
