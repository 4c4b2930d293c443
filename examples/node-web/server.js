// A counter over HTTP. GET / reads it, POST / adds one.
import { createServer } from "node:http";

export function counter() {
  let count = 0;
  return createServer((request, response) => {
    if (request.method === "POST") count += 1;
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ count }));
  });
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const port = Number(process.env.PORT ?? 8000);
  counter().listen(port, () => console.log(`listening on ${port}`));
}
