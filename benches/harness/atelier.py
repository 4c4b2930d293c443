"""Atelier with a home of its own."""

import json
import os
import shutil
import subprocess


class Atelier:
    """The binary under test and its home. Commands run in the current folder's project."""

    def __init__(self, binary, home):
        self.binary, self.home, self.homes = binary, None, []
        self.parent = home
        self.renew()

    def renew(self):
        """Goes on with a new home. The old one is kept until [`Atelier.end`]: deleting thousands
        of files slows down whoever makes files next, most of all on ext4 without a journal."""
        if self.home and os.path.exists(self.home):
            self.output("stop", "--all")
        self.home = f"{self.parent}{len(self.homes)}"
        self.homes.append(self.home)
        os.environ["ATELIER_HOME"] = self.home

    def argv(self, *arguments):
        return [self.binary, *arguments]

    def output(self, *arguments):
        """What a command prints; an error when it fails."""
        done = subprocess.run(self.argv(*arguments), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=300, check=False)
        if done.returncode:
            said = done.stderr.strip()
            raise RuntimeError(f"atelier {' '.join(arguments)} ended with {done.returncode}: {said}")
        return done.stdout

    def plane(self):
        """The control plane's process."""
        return json.loads(self.output("status", "--json"))["pid"]

    def names(self):
        return [env["name"] for env in json.loads(self.output("env", "ls", "--json"))]

    def remove_all(self):
        if self.names():
            self.output("env", "rm", "--all", "--force", "--yes")

    def end(self):
        """Removes the environments, ends the control plane and removes the files, of each home."""
        for home in filter(os.path.exists, self.homes):
            os.environ["ATELIER_HOME"] = home
            self.remove_all()
            self.output("stop", "--all")
            shutil.rmtree(home)
