import json
import tempfile
import threading
import unittest
import urllib.error
import urllib.request
from pathlib import Path

from app import serve


class GuestBookOverHttp(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        # Port 8000 on purpose: two environments run these tests at once and don't meet.
        self.server = serve(8000, Path(self.folder.name) / "book.db")
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()
        self.folder.cleanup()

    def request(self, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:8000/", data)) as answer:
            return answer.status, json.load(answer)

    def test_an_entry_is_kept(self):
        self.assertEqual(self.request({"text": "hello"}), (201, {"id": 1}))
        self.assertEqual(self.request(), (200, [{"id": 1, "text": "hello"}]))

    def test_an_empty_entry_is_refused(self):
        with self.assertRaises(urllib.error.HTTPError) as caught:
            self.request({"text": "  "})
        self.assertEqual(caught.exception.code, 400)


if __name__ == "__main__":
    unittest.main()
