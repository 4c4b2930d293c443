"""The peers without an engine: `crun run` and `runsc run` of the image's files, by an OCI bundle
(https://github.com/opencontainers/runtime-spec)."""

import itertools
import json
import os
import subprocess

CAPABILITIES = ["CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID"]
NAMESPACES = ("pid", "mount", "ipc", "uts", "network")
MOUNTS = {"/proc": "proc", "/dev": "tmpfs", "/sys": "sysfs"}
UNIFIED = "/sys/fs/cgroup/unified"
# crun refuses to run where both versions of control groups are mounted: there it gets a mount
# namespace that hides the second, which costs it some 2 ms.
HIDE = ["unshare", "--mount", "sh", "-c", f'umount {UNIFIED} && exec "$@"', "sh"]
CRUN = (HIDE if os.path.ismount(UNIFIED) else []) + ["crun", "--cgroup-manager=disabled"]
RUNSC = ["runsc", "--ignore-cgroups", "--file-access=exclusive"]


# A network namespace with a device as a sandbox has one. `runsc` of 2022 can't read the settings of
# newer kernels, which are covered.
NETWORK = """mount --make-rslave / && mount -t tmpfs none /proc/sys/net/core && echo ready && exec cat"""
DEVICE = """ip link show eth0 >/dev/null 2>&1 || ip tuntap add eth0 mode tap
ip link set lo up; ip addr replace 10.9.9.2/24 dev eth0; ip link set eth0 up
ip route replace default via 10.9.9.1"""


class Network:
    """A namespace for `runsc`, which takes the device's addresses away with each run."""

    def __enter__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "--mount", "sh", "-c", NETWORK],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        return self

    def __exit__(self, *_):
        self.holder.stdin.close()
        self.holder.wait()

    def inside(self, *program):
        """The command line that runs a program there."""
        return ["nsenter", "--target", str(self.holder.pid), "--net", "--mount", *program]

    def prepare(self):
        """Gives the device its addresses."""
        subprocess.run(self.inside("sh", "-c", DEVICE), check=True)


class Bundle:
    """A bundle that prints one word, for programs that run such."""

    def __init__(self, folder, tree, network=None):
        self.folder, self.tree, self.numbers = folder, tree, itertools.count()
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
        if network:
            config["linux"]["namespaces"][-1]["path"] = network
        with open(os.path.join(folder, "config.json"), "w", encoding="ascii") as file:
            json.dump(config, file)

    def run(self, *program):
        """The command line that runs it once."""
        state = os.path.join(self.folder, "state")
        name = f"bench{os.getpid()}x{next(self.numbers)}"
        return [*program, "--root", state, "run", "--bundle", self.folder, name]
