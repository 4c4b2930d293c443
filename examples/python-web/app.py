"""A guest book over HTTP, kept in SQLite. Standard library only."""

import json
import os
import sqlite3
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class GuestBook:
    """Entries in a database file."""

    def __init__(self, path):
        self.path = path
        with self._connect() as db:
            db.execute("CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")

    def _connect(self):
        return sqlite3.connect(self.path)

    def sign(self, text):
        if not text.strip():
            raise ValueError("an entry must say something")
        with self._connect() as db:
            return db.execute("INSERT INTO entries (text) VALUES (?)", (text,)).lastrowid

    def entries(self):
        with self._connect() as db:
            return [{"id": i, "text": t} for i, t in db.execute("SELECT id, text FROM entries ORDER BY id")]


class Handler(BaseHTTPRequestHandler):
    """GET / lists entries, POST / adds one."""

    book = None

    def do_GET(self):
        self._answer(200, self.book.entries())

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        try:
            number = self.book.sign(json.loads(self.rfile.read(length))["text"])
        except (KeyError, ValueError) as error:
            self._answer(400, {"error": str(error)})
        else:
            self._answer(201, {"id": number})

    def _answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(port, path="guestbook.db"):
    """A server on all addresses; the caller runs it."""
    Handler.book = GuestBook(path)
    return ThreadingHTTPServer(("0.0.0.0", port), Handler)


if __name__ == "__main__":
    server = serve(int(os.environ.get("PORT", "8000")))
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()
