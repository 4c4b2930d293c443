"""A project to measure with: a git work tree of many files, the same on each machine."""

import os
import random
import subprocess

WORDS = "let fn match self return async await string bytes index value result error state".split()


def lines(generator, count):
    """Lines that look like source text and compress like it."""
    return [
        " " * generator.choice((0, 4, 8)) + " ".join(generator.choices(WORDS, k=9))
        + f" {generator.randrange(10**6)};\n"
        for _ in range(count)
    ]


def make(folder, files, size):
    """Writes `files` files of `size` bytes together, 50 in each folder, and commits them."""
    generator = random.Random(5000)
    pool = lines(generator, 2000)
    each = size // files
    for number in range(files):
        place = os.path.join(folder, f"module{number // 50:03}")
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(place, f"file{number % 50:02}.rs"), "w", encoding="ascii") as file:
            text = "".join(generator.choices(pool, k=each // 40))
            file.write(text[:each].ljust(each))
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")
    git(folder, "gc", "--quiet")


def git(folder, *arguments):
    """Git without the user's settings."""
    who = ["-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "gc.auto=0"]
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "-C", folder, *who, *arguments], env=env, check=True)


def measure(folder, without=None):
    """(files, bytes) below a folder, `without` one of its subfolders."""
    count = total = 0
    for place, folders, names in os.walk(folder):
        if without in folders:
            folders.remove(without)
        for name in names:
            count += 1
            total += os.lstat(os.path.join(place, name)).st_size
    return count, total
