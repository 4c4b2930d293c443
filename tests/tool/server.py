"""An MCP server with one tool, which tells the server's argument and its key's length."""

import json
import os
import sys

for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    method, result = message["method"], {}
    if method == "initialize":
        result = {
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "speaker", "version": "1"},
        }
    elif method == "tools/list":
        result = {"tools": [{"name": "whoami", "description": "tells", "inputSchema": {"type": "object"}}]}
    elif method == "tools/call":
        text = f"{sys.argv[1]} {len(os.environ['API_KEY'])}"
        result = {"content": [{"type": "text", "text": text}]}
    elif method != "ping":
        error = {"code": -32601, "message": f"no {method}"}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}), flush=True)
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
