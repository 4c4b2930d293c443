// MCP's SDK for TypeScript as an agent whose user is asked: calls one tool, and prints what was asked and answered.
// asked.mjs ANSWER TOOL ARGUMENTS PROGRAM [ARGUMENT ...], in a folder that has the SDK.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(process.cwd() + "/"));
const sdk = (path) => import(pathToFileURL(require.resolve("@modelcontextprotocol/sdk/" + path)));
const { Client } = await sdk("client/index.js");
const { StdioClientTransport } = await sdk("client/stdio.js");
const { ElicitRequestSchema } = await sdk("types.js");

const [answer, tool, args, command, ...rest] = process.argv.slice(2);
const asked = [];
const client = new Client({ name: "agent", version: "1" }, { capabilities: { elicitation: {} } });
client.setRequestHandler(ElicitRequestSchema, async (request) => {
  asked.push(request.params.message);
  return answer === "accept" ? { action: answer, content: {} } : { action: answer };
});
await client.connect(new StdioClientTransport({ command, args: rest, env: process.env }));
const result = await client.callTool({ name: tool, arguments: JSON.parse(args) });
const text = result.content.map((block) => block.text).join("\n");
console.log(JSON.stringify({ asked, failed: result.isError === true, text }));
await client.close();
