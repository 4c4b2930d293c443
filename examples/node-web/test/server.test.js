import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";

import { counter } from "../server.js";

test("the counter counts", async () => {
  const server = counter().listen(8000);
  await once(server, "listening");
  try {
    const ask = (method) => fetch("http://127.0.0.1:8000/", { method }).then((r) => r.json());
    assert.deepEqual(await ask("GET"), { count: 0 });
    assert.deepEqual(await ask("POST"), { count: 1 });
    assert.deepEqual(await ask("GET"), { count: 1 });
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
