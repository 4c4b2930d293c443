"""What users do with E2B's SDK, against a server whose sandboxes live in memory."""

import os
import tempfile
import uuid

from e2b import Sandbox, SandboxQuery, SandboxState, Template
from e2b.exceptions import SandboxException, SandboxNotFoundException

mark = {"walk": str(uuid.uuid4()), "words": "a & b = c/ä"}


def ids(**query):
    order = query.pop("order", None)
    limit = query.pop("limit", None)
    pages = Sandbox.list(query=SandboxQuery(metadata=mark, **query), limit=limit, order=order)
    found = []
    while pages.has_next:
        page = pages.next_items()
        assert limit is None or len(page) <= limit, page
        found.extend(own.sandbox_id for own in page)
    return found


def lives():
    first = Sandbox.create("base", timeout=60, metadata=mark, envs={"A": "1"})
    second = Sandbox.create("base", timeout=60, metadata=mark)
    assert first.is_running()
    assert first._envd_access_token and first._envd_version
    assert first.get_host(8080) == f"8080-{first.sandbox_id}.sandboxes.test:8443"

    assert ids() == [second.sandbox_id, first.sandbox_id]
    assert ids(order="asc", limit=1) == [first.sandbox_id, second.sandbox_id]
    info = first.get_info()
    assert info.metadata == mark and info.state == SandboxState.RUNNING
    assert first.sandbox_id in ids(started_after=info.started_at)
    assert ids(template="unknown-template") == []

    assert first.pause() is True and not first.is_running()
    assert first.pause() is False
    assert ids(state=[SandboxState.PAUSED]) == [first.sandbox_id]
    assert ids(state=[SandboxState.RUNNING]) == [second.sandbox_id]
    again = Sandbox.connect(first.sandbox_id, timeout=600)
    assert again.is_running() and again.get_info().end_at > info.end_at
    first.set_timeout(100)
    first.update_network({"deny_out": ["8.8.8.8"]})
    assert len(first.get_metrics()) == 1

    forks = first.fork(count=2)
    assert len({fork.sandbox_id for fork in forks}) == 2
    snapshot = first.create_snapshot(name=f"snap-{uuid.uuid4()}")
    assert snapshot.snapshot_id in [s.snapshot_id for s in Sandbox.list_snapshots().next_items()]
    Sandbox.create(snapshot.snapshot_id).kill()
    assert Sandbox.delete_snapshot(snapshot.snapshot_id) is True
    assert Sandbox.delete_snapshot(snapshot.snapshot_id) is False

    for sandbox in [first, second, *forks]:
        assert sandbox.kill() is True
    assert first.kill() is False
    assert ids() == []
    try:
        Sandbox.connect(first.sandbox_id)
        raise AssertionError("it is gone")
    except SandboxNotFoundException:
        pass
    try:
        Sandbox.create("nope")
        raise AssertionError("there is no such template")
    except SandboxException as error:
        assert "template 'nope' not found" in str(error), error


def templates():
    assert Template.exists("base") and not Template.exists(f"no-{uuid.uuid4()}")
    with tempfile.TemporaryDirectory() as context:
        with open(os.path.join(context, "file.txt"), "w") as file:
            file.write("content")
        plan = (
            Template(file_context_path=context)
            .from_image("ubuntu:22.04")
            .copy("file.txt", "dst/")
            .set_envs({"A": "1"})
            .run_cmd("true")
        )
        said = []
        name = f"walk-{uuid.uuid4().hex}"
        info = Template.build(plan, f"{name}:v1", on_build_logs=lambda log: said.append(log.message))
    assert any("RUN true" in line for line in said), said
    assert any("Uploaded 'file.txt'" in line for line in said), said
    assert info.build_id and Template.exists(f"{name}:v1")
    given = Template.assign_tags(f"{name}:v1", ["stable"])
    assert given.tags == ["stable"]
    assert {tag.tag for tag in Template.get_tags(name)} == {"v1", "stable"}
    Template.remove_tags(name, "stable")
    try:
        failing = Template().from_image("ubuntu:22.04").run_cmd("whoami", user="root123")
        Template.build(failing, f"{name}-bad")
        raise AssertionError("there is no such user")
    except Exception as error:
        assert "unauthenticated: invalid username: 'root123'" in str(error), error


lives()
templates()
print("walked")
