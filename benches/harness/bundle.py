"""The peers without an engine: `crun run` and `runsc run` of the image's files, by an OCI bundle
(https://github.com/opencontainers/runtime-spec)."""

import itertools
import json
import os

CAPABILITIES = ["CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID"]
NAMESPACES = ("pid", "mount", "ipc", "uts", "network")
MOUNTS = {"/proc": "proc", "/dev": "tmpfs", "/sys": "sysfs"}
UNIFIED = "/sys/fs/cgroup/unified"
# crun refuses to run where both versions of control groups are mounted: there it gets a mount
# namespace that hides the second, which costs it some 2 ms.
HIDE = ["unshare", "--mount", "sh", "-c", f'umount {UNIFIED} && exec "$@"', "sh"]
CRUN = (HIDE if os.path.ismount(UNIFIED) else []) + ["crun", "--cgroup-manager=disabled"]
RUNSC = ["runsc", "--network=none", "--ignore-cgroups", "--file-access=exclusive"]


class Bundle:
    """A bundle that prints one word, for programs that run such."""

    def __init__(self, folder, tree):
        self.folder, self.numbers = folder, itertools.count()
        os.mkdir(folder)
        config = {
            "ociVersion": "1.0.0",
            "process": {
                "user": {"uid": 0, "gid": 0}, "args": ["echo", "hello"], "cwd": "/",
                "env": ["PATH=/usr/bin:/bin"],
                "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES),
            },
            "root": {"path": tree, "readonly": True},
            "mounts": [{"destination": to, "type": kind, "source": kind}
                       for to, kind in MOUNTS.items()],
            "linux": {"namespaces": [{"type": kind} for kind in NAMESPACES]},
        }
        with open(os.path.join(folder, "config.json"), "w", encoding="ascii") as file:
            json.dump(config, file)

    def run(self, *program):
        """The command line that runs it once."""
        state = os.path.join(self.folder, "state")
        name = f"bench{os.getpid()}x{next(self.numbers)}"
        return [*program, "--root", state, "run", "--bundle", self.folder, name]
