"""The peer: a Docker engine, ours for the time of the bench when none answers, with an image of the
files that it is given."""

import os
import signal
import subprocess
import tarfile
import time

IMAGE = "atelier-bench:local"
PATIENCE = 45


class Docker:
    """An engine with the image in it."""

    def __init__(self, folder, tree, firewall=False):
        self.folder, self.tree, self.daemon, self.bridge = folder, tree, None, None
        self.firewall = firewall

    def ready(self):
        """Starts an engine when none answers, and loads the image."""
        if not self.answers():
            self.start()
        self.load_image()

    @staticmethod
    def answers():
        done = subprocess.run(["docker", "version"], capture_output=True, timeout=20, check=False)
        return done.returncode == 0

    def start(self):
        """Starts an engine whose files, socket and bridge are its own."""
        socket = f"unix://{self.folder}/docker.sock"
        os.environ["DOCKER_HOST"] = socket
        self.bridge = f"atb{os.getpid()}"
        ip("link", "add", self.bridge, "type", "bridge")
        ip("address", "add", "198.18.255.1/24", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")
        argv = [
            "dockerd", "--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/exec",
            "--host", socket, "--pidfile", f"{self.folder}/pid", "--bridge", self.bridge,
        ]
        if not self.firewall:
            # No rules and no forwarding: the machine's own are left alone, which only helps the peer.
            argv += ["--iptables=false", "--ip-forward=false", "--ip-masq=false"]
        with open(f"{self.folder}/log", "wb") as log:
            self.daemon = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while not self.answers():
            if self.daemon.poll() is not None or time.monotonic() > deadline:
                with open(f"{self.folder}/log", encoding="utf-8", errors="replace") as log:
                    raise RuntimeError(f"dockerd did not start (--skip-docker?): {log.read()[-800:]}")
            time.sleep(0.2)

    def load_image(self):
        archive = f"{self.folder}/image.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(self.tree, arcname=".")
        docker("import", archive, IMAGE)
        os.remove(archive)

    def versions(self):
        form = "{{.Client.Version}} (client), {{.Server.Version}} (engine)"
        own = ", started by this bench" if self.daemon else ""
        return docker("version", "--format", form) + own

    def resident(self):
        """A container that only waits; its id."""
        return docker("run", "--detach", "--rm", "--init", IMAGE, "sleep", "86400")

    @staticmethod
    def remove(container):
        docker("rm", "--force", container)

    def stop(self):
        """Ends what [`Docker.start`] started; in somebody else's engine removes the image."""
        if not self.bridge:
            subprocess.run(["docker", "rmi", "-f", IMAGE], capture_output=True, check=False)
            return
        if self.daemon:
            self.end()
        ip("link", "delete", self.bridge)

    def end(self):
        self.daemon.send_signal(signal.SIGTERM)
        try:
            self.daemon.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()


def docker(*arguments):
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120,
                          check=False)
    if done.returncode:
        raise RuntimeError(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, timeout=20)
