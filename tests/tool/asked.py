"""MCP's SDK for Python as an agent whose user is asked: calls one tool, and prints what was asked and answered.

asked.py MODE ANSWER TOOL ARGUMENTS PROGRAM [ARGUMENT ...]
MODE: "legacy", or a revision without sessions. ANSWER: accept, decline, cancel; "none": nobody can be asked.
"""

import asyncio
import json
import os
import sys

import mcp_types as types
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

mode, answer, tool, arguments, program, *rest = sys.argv[1:]
asked = []


async def ask(_, params):
    asked.append(params.message)
    content = {} if answer == "accept" else None
    return types.ElicitResult(action=answer, content=content)


async def main():
    server = StdioServerParameters(command=program, args=rest, env=dict(os.environ))
    callback = None if answer == "none" else ask
    async with Client(stdio_client(server), mode=mode, elicitation_callback=callback) as client:
        result = await client.call_tool(tool, json.loads(arguments))
        text = "\n".join(block.text for block in result.content if block.type == "text")
        print(json.dumps({"asked": asked, "failed": bool(result.is_error), "text": text}))


asyncio.run(main())
