#!/usr/bin/env python3
"""A sandbox by Atelier's own HTTP API, with nothing but Python's standard library.

    atelier serve --background --listen 127.0.0.1:4700
    export ATELIER_HOST=http://127.0.0.1:4700 ATELIER_TOKEN=$(atelier token create walk --scope sandboxes)
    ./walk.py [IMAGE]
"""

import json
import os
import sys
import urllib.error
import urllib.request
from urllib.parse import urlencode

HOST = os.environ["ATELIER_HOST"]
TOKEN = os.environ["ATELIER_TOKEN"]


def call(method, place, body=None, **query):
    """One call of the API; a failure says what the control plane says."""
    url = f"{HOST}/api/v1{place}" + (f"?{urlencode(query)}" if query else "")
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        problem = json.load(error)
        sys.exit(f"{method} {place}: {problem['detail']} ({problem['code']})")


def main(image):
    sandbox = call("POST", "/sandboxes", {"from": image, "timeout": 600, "network": {"mode": "none"}})
    at = f"/sandboxes/{sandbox['id']}"
    try:
        call("POST", f"{at}/file", {"path": "/srv/words.txt", "content": "pear\napple\nfig\n"})
        done = call("POST", f"{at}/exec", {"command": ["sort", "words.txt"], "workdir": "/srv"})
        print("sorted:", done["stdout"].split())

        done = call("POST", f"{at}/exec", {"command": ["tr", "a-z", "A-Z"], "stdin": "from outside"})
        print("answered:", done["stdout"])

        done = call("POST", f"{at}/exec", {"command": ["sh", "-c", "echo wrong >&2; exit 3"]})
        print("failed:", done["exit_code"], done["stderr"].strip())

        for file in call("GET", f"{at}/files", path="/srv"):
            print("file:", file["path"], file["size"], file["mode"])
        print("read:", call("GET", f"{at}/file", path="/srv/words.txt")["content"].splitlines()[0])

        snapshot = call("POST", f"{at}/snapshots", {})
        call("DELETE", f"{at}/file", path="/srv/words.txt")
        call("POST", f"{at}/restore", {"snapshot": snapshot["id"]})
        print("restored:", call("GET", f"{at}/file", path="/srv/words.txt")["size"], "bytes")
        call("DELETE", f"/snapshots/{snapshot['id']}")
    finally:
        call("DELETE", at)
    left = [one["id"] for one in call("GET", "/sandboxes")]
    print("removed:", sandbox["id"] not in left)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "debian:bookworm-slim")
