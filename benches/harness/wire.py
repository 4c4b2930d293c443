"""HTTP/1.1 over one kept connection, and the framing of Connect (https://connectrpc.com), with
little cost of their own. What is asked is the callers' business."""

import base64
import json
import socket
import struct

from harness.measure import Failed

PATIENCE = 180
BLOCK = 1 << 18
STREAM = "application/connect+json"


class Connection:
    """One connection. `address` is the path of a Unix socket, or (host, port); `headers` go with
    each request."""

    def __init__(self, address, headers=()):
        unix = isinstance(address, str)
        self.socket = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(address)
        if not unix:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.headers = "".join(f"{name}: {value}\r\n" for name, value in dict(headers).items())
        if "host:" not in self.headers.lower():
            self.headers += "Host: localhost\r\n"
        self.rest = b""

    def send(self, method, path, body=b"", kind="application/json", size=None):
        """Sends a request; with `size` only its head, and its body is the caller's to send."""
        length = len(body) if size is None else size
        head = (f"{method} {path} HTTP/1.1\r\n{self.headers}Content-Type: {kind}\r\n"
                f"Content-Length: {length}\r\n\r\n")
        self.socket.sendall(head.encode() + body)

    def answer(self):
        """The head of the answer; its body has to be read before the next request."""
        while b"\r\n\r\n" not in self.rest:
            self.rest += self.receive()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return Answer(self, int(status.split(" ")[1]), headers)

    def ask(self, method, path, value=None):
        """A request of JSON and its answer of JSON, an error unless it went well."""
        body = b"" if value is None else json.dumps(value).encode()
        self.send(method, path, body)
        return self.answer().json(f"{method} {path}")

    def receive(self):
        data = self.socket.recv(BLOCK)
        if not data:
            raise Failed("the connection was closed in the middle of an answer")
        return data

    def close(self):
        self.socket.close()


class Answer:
    """An answer whose body is still to be read."""

    def __init__(self, connection, status, headers):
        self.connection, self.status, self.headers = connection, status, headers

    def pieces(self):
        """The body's bytes as they come."""
        if self.headers.get("transfer-encoding") == "chunked":
            yield from self.chunks()
        else:
            yield from self.exactly(int(self.headers.get("content-length", 0)))

    def exactly(self, left):
        """That many bytes of the connection."""
        connection = self.connection
        while left:
            data = connection.rest or connection.receive()
            connection.rest = data[left:]
            left -= min(left, len(data))
            yield data[:len(data) - len(connection.rest)] if connection.rest else data

    def chunks(self):
        connection = self.connection
        while True:
            while b"\r\n" not in connection.rest:
                connection.rest += connection.receive()
            line, _, connection.rest = connection.rest.partition(b"\r\n")
            size = int(line, 16)
            yield from self.exactly(size)
            for _ in self.exactly(2):
                pass
            if not size:
                return

    def whole(self):
        return b"".join(self.pieces())

    def json(self, what):
        """The body's value; an error with what was said unless it went well."""
        body = self.whole()
        if self.status >= 400:
            raise Failed(f"{what} was answered with {self.status}: {body[:600].decode()}")
        return json.loads(body) if body else None

    def messages(self):
        """The messages of a stream; an error when one says so."""
        buffer = bytearray()
        for piece in self.pieces():
            buffer += piece
            while len(buffer) >= 5:
                flags, length = struct.unpack_from(">BI", buffer)
                if len(buffer) < 5 + length:
                    break
                message = json.loads(bytes(buffer[5:5 + length]))
                del buffer[:5 + length]
                if "error" in message:
                    raise Failed(f"the stream ended with {message['error']}")
                if not flags & 2:
                    yield message


def frame(value):
    """A message with its envelope."""
    message = json.dumps(value).encode()
    return struct.pack(">BI", 0, len(message)) + message


def output(event):
    """The bytes that an event of a process tells; none for other events."""
    data = event["event"].get("data", {})
    return base64.b64decode(data.get("stdout") or data.get("stderr") or "")
