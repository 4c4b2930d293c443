"""What users do with E2B's Python SDK, unmodified, against a control plane; the environment says
where that is. E2E_WEB_SERVER is a command which serves the folder it runs in at port 8000."""

import asyncio
import http.server
import os
import ssl
import threading
import time
import urllib.error
import urllib.request
import uuid

from e2b import AsyncSandbox, CommandExitException, NotFoundException, PtySize, Sandbox, SandboxQuery, SandboxState
from e2b import TimeoutException, Volume, VolumeException, VolumePathNotFoundException
from e2b.sandbox.filesystem.watch_handle import FilesystemEventType

try:
    # Of releases from August 2026 on.
    from e2b import Secret, SecretException, SecretNotFoundException
except ImportError:
    Secret = None

PATIENCE = 30
mark = {"walk": str(uuid.uuid4())}


def until(what, so):
    end = time.monotonic() + PATIENCE
    while not so():
        assert time.monotonic() < end, f"waited too long: {what}"
        time.sleep(0.05)


def refused(kind, call, *words):
    try:
        call()
    except kind as error:
        assert all(word in str(error) for word in words), error
        return error
    raise AssertionError(f"no {kind.__name__}")


def commands(sandbox):
    run = sandbox.commands.run
    done = run('echo "$A-$B"; echo err >&2', envs={"B": "2"})
    assert (done.exit_code, done.stdout, done.stderr) == (0, "1-2\n", "err\n"), done
    assert run("whoami; pwd").stdout == "user\n/home/user\n"
    assert run("whoami; pwd", user="root", cwd="/tmp").stdout == "root\n/tmp\n"
    assert refused(CommandExitException, lambda: run("echo no; exit 3")).exit_code == 3
    refused(TimeoutException, lambda: run("sleep 60", timeout=0.5))
    parts = []
    run("for i in 1 2 3; do echo $i; sleep 0.1; done", on_stdout=parts.append)
    assert "".join(parts) == "1\n2\n3\n" and len(parts) > 1, parts
    assert len(run("head -c 3000000 /dev/zero | tr '\\0' x").stdout) == 3_000_000

    background = run("echo begun; sleep 60", background=True)
    assert background.pid in [one.pid for one in sandbox.commands.list()]
    again = sandbox.commands.connect(background.pid)
    assert sandbox.commands.kill(background.pid) is True
    refused(CommandExitException, background.wait)
    refused(CommandExitException, again.wait)
    assert sandbox.commands.kill(background.pid) is False

    cat = run("head -n 2", background=True, stdin=True)
    sandbox.commands.send_stdin(cat.pid, "first ")
    sandbox.commands.send_stdin(cat.pid, "ä\nsecond\n")
    assert cat.wait().stdout == "first ä\nsecond\n"


def files(sandbox):
    files = sandbox.files
    assert files.write("docs/note.txt", "text ä").path == "/home/user/docs/note.txt"
    assert files.read("docs/note.txt") == "text ä"
    content = bytes(range(256)) * 4096
    files.write_files([{"path": "/tmp/many/a.bin", "data": content}, {"path": "/tmp/many/b", "data": "b"}])
    assert bytes(files.read("/tmp/many/a.bin", format="bytes")) == content
    assert b"".join(files.read("/tmp/many/a.bin", format="stream")) == content
    assert files.make_dir("docs/deep") is True and files.make_dir("docs/deep") is False
    assert sorted(one.name for one in files.list("docs")) == ["deep", "note.txt"]
    assert files.get_info("docs/note.txt").owner == "user"
    watch = files.watch_dir("docs", recursive=True)
    files.rename("docs/note.txt", "docs/deep/renamed.txt")
    seen = []
    until("a rename is seen", lambda: seen.extend(watch.get_new_events()) or len(seen) > 1)
    assert FilesystemEventType.CREATE in [one.type for one in seen], seen
    watch.stop()
    files.remove("docs/deep/renamed.txt")
    refused(NotFoundException, lambda: files.read("docs/deep/renamed.txt"))


def terminal(sandbox):
    pty = sandbox.pty.create(PtySize(rows=24, cols=80))
    sandbox.pty.resize(pty.pid, PtySize(rows=40, cols=100))
    sandbox.pty.send_stdin(pty.pid, b"stty size; exit\n")
    screen = bytearray()
    assert pty.wait(on_pty=screen.extend).exit_code == 0
    assert b"40 100" in screen, screen


def ports(sandbox):
    sandbox.files.write("web/index.html", mark["walk"])
    sandbox.commands.run(os.environ["E2E_WEB_SERVER"], background=True, cwd="/home/user/web", timeout=0)
    if "E2B_SANDBOX_URL" in os.environ:
        url, headers = os.environ["E2B_SANDBOX_URL"], {"E2b-Sandbox-Id": sandbox.sandbox_id, "E2b-Sandbox-Port": "8000"}
    else:
        url, headers = f"https://{sandbox.get_host(8000)}", {}
    if sandbox.traffic_access_token:
        headers["e2b-traffic-access-token"] = sandbox.traffic_access_token

    def ask():
        request = urllib.request.Request(url, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE, context=ssl.create_default_context()) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            assert error.code == 502, error
            return None

    until("the page is served", lambda: ask() == mark["walk"])


def life(sandbox):
    own = SandboxQuery(metadata=mark)
    assert sandbox.is_running()
    info = sandbox.get_info()
    assert info.state == SandboxState.RUNNING and info.metadata == mark
    sandbox.set_timeout(300)
    assert sandbox.get_info().end_at > info.end_at
    other = Sandbox.create("base", timeout=60, metadata=mark)
    assert [one.sandbox_id for one in Sandbox.list(query=own).next_items()] == [other.sandbox_id, sandbox.sandbox_id]
    command = other.commands.run("sleep 60", background=True)
    assert other.kill() is True and not other.is_running()
    refused(TimeoutException, command.wait, "sandbox was killed or reached its end of life")
    assert Sandbox.kill(other.sandbox_id) is False
    loop = sandbox.commands.run("exec sleep 600", background=True, timeout=0)
    assert sandbox.pause() is True and not sandbox.is_running()
    again = Sandbox.connect(sandbox.sandbox_id, timeout=200)
    assert again.is_running() and loop.pid in [one.pid for one in again.commands.list()]
    assert again.commands.kill(loop.pid) is True
    sandbox.files.write("kept.txt", "kept")
    for fork in sandbox.fork(count=2):
        assert fork.files.read("kept.txt") == "kept"
        assert fork.kill() is True


def volumes():
    name = f"walk-{mark['walk']}"
    volume = Volume.create(name)
    try:
        assert [one.volume_id for one in Volume.list() if one.name == name] == [volume.volume_id]
        written = volume.write_file("/note.txt", "text ä", uid=1000, gid=1000, mode=0o600)
        assert (written.name, written.path, written.size, written.uid, written.mode) == ("note.txt", "/note.txt", 7, 1000, 0o600)
        assert volume.read_file("/note.txt") == "text ä"
        assert volume.make_dir("/deep/er", force=True).path == "/deep/er"
        assert volume.write_file("/deep/er/big.bin", os.urandom(3_000_000)).size == 3_000_000
        assert sorted(one.path for one in volume.list("/", depth=3)) == ["/deep", "/deep/er", "/deep/er/big.bin", "/note.txt"]
        assert volume.update_metadata("/note.txt", mode=0o644).mode == 0o644
        refused(VolumePathNotFoundException, lambda: volume.read_file("/none"), "not found")
        again = Volume.connect(volume.volume_id)
        made = [Sandbox.create("base", timeout=60, metadata=mark, volume_mounts={"/data": again}) for _ in range(2)]
        try:
            assert made[0].commands.run("cat /data/note.txt").stdout == "text ä"
            made[0].commands.run("echo by one >> /data/note.txt")
            assert made[1].files.read("/data/note.txt") == "text äby one\n"
            refused(VolumeException, lambda: Volume.destroy(volume.volume_id), "has the volume")
        finally:
            for one in made:
                one.kill()
        assert again.read_file("/note.txt") == "text äby one\n"
        volume.remove("/deep")
        assert volume.exists("/deep") is False
    finally:
        assert Volume.destroy(volume.volume_id) is True
    assert Volume.destroy(volume.volume_id) is False


class Told(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(self.headers["X-Key"]).encode())

    def log_message(self, *_):
        pass


def network(host, value):
    rule = {"transform": {"headers": {"X-Key": value}}}
    return {"allow_out": [host], "deny_out": ["0.0.0.0/0"], "rules": {host: [rule]}}


def telling():
    """A server outside that tells its X-Key, and its host as sandboxes call it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Told)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"host.atelier.internal:{server.server_port}"


def secrets():
    name = f"walk-{uuid.uuid4().hex[:8]}"
    made = Secret.create(name.upper(), "of-the-secret", metadata={"env": "test"})
    assert made.name == name and made.version == 1 and made.metadata == {"env": "test"}, made
    assert made.secret_id.startswith("sec_") and "of-the-secret" not in str(made)
    assert Secret.get_info(made.secret_id) == Secret.get_info(name) == made
    refused(SecretException, lambda: Secret.create(name, "again"), "there is a secret")
    refused(SecretException, lambda: Secret.create(name + "-2", "two\nlines"), "line break")
    assert [one.name for one in Secret.list(limit=1).next_items()] == [name]
    server, host = telling()
    sandbox = Sandbox.create("base", timeout=60, metadata=mark, network=network(host, f"<{Secret.fill(name)}>"))
    try:
        asked = lambda: sandbox.commands.run(f"wget -qO- http://{host}/").stdout
        assert asked() == "<of-the-secret>"
        changed = Secret.update(name, "another")
        assert (changed.version, changed.metadata) == (2, {"env": "test"}), changed
        assert asked() == "<another>"
        assert Secret.destroy(made.secret_id) is True and Secret.exists(name) is False
        refused(CommandExitException, asked)
    finally:
        sandbox.kill()
        server.shutdown()
    assert Secret.destroy(name) is False
    refused(SecretNotFoundException, lambda: Secret.update(name, "none"), name)


def rules():
    server, host = telling()
    made = Sandbox.create("base", timeout=60, metadata=mark, network=network(host, "given"))
    try:
        asked = lambda: made.commands.run(f"wget -qO- http://{host}/").stdout
        assert asked() == "given"
        shown = made.get_info().network["rules"][host]
        assert shown == [{"transform": {"headers": {"X-Key": "***"}}}], shown
        made.update_network(network(host, "another"))
        assert asked() == "another"
        made.update_network({"allow_out": [host], "deny_out": ["0.0.0.0/0"]})
        assert asked() == "None"
    finally:
        made.kill()
        server.shutdown()


async def at_once():
    made = await asyncio.gather(*[AsyncSandbox.create("base", timeout=60, metadata=mark) for _ in range(4)])
    said = await asyncio.gather(*[one.commands.run(f"echo {at}") for at, one in enumerate(made)])
    assert [one.stdout for one in said] == [f"{at}\n" for at in range(4)]
    assert all(await asyncio.gather(*[one.kill() for one in made]))


def main():
    sandbox = Sandbox.create("base", timeout=120, metadata=mark, envs={"A": "1"})
    try:
        for step in [commands, files, terminal, ports, life]:
            step(sandbox)
        volumes()
        rules()
        if Secret is not None:
            secrets()
        asyncio.run(at_once())
    finally:
        assert sandbox.kill() is True
    print("walked")


main()
