// Servers for tests of header rules: one that tells what it was asked, by HTTP, HTTPS and HTTP/2, and one
// with a certificate that nobody vouches for. Arguments: an address, and a folder with the certificates.
import fs from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import crypto from 'node:crypto'

const [address, folder] = process.argv.slice(2)
const read = (name) => fs.readFileSync(`${folder}/${name}`)
const BLOCK = Buffer.alloc(1 << 20, 'x')
const COUNT = 200

async function answer(request, response) {
  if (request.url === '/big') {
    response.writeHead(200, { 'content-length': COUNT * BLOCK.length })
    for (let n = 0; n < COUNT; n++) {
      if (!response.write(BLOCK)) await new Promise((resolve) => response.once('drain', resolve))
    }
    return response.end()
  }
  let size = 0
  for await (const part of request) size += part.length
  response.setHeader('alt-svc', 'h3=":443"')
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ version: request.httpVersion, size, headers: request.headers }) + '\n')
}

// The words of RFC 6455: one text frame comes, and goes back with the key that the request had.
function upgrade(request, socket, head) {
  const id = request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
  const accept = crypto.createHash('sha1').update(id).digest('base64')
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
  )
  const key = request.headers['x-key'] ?? 'none'
  const back = () => {
    socket.write(Buffer.concat([Buffer.from([0x81, key.length]), Buffer.from(key)]))
  }
  if (head.length > 0) back()
  socket.on('data', back)
  socket.on('error', () => {})
}

const tls = { key: read('server.key'), cert: read('server.pem') }
const both = http2.createSecureServer({ ...tls, allowHTTP1: true }, answer)
const plain = http.createServer(answer)
const bad = https.createServer({ key: read('bad.key'), cert: read('bad.pem') }, answer)
const one = https.createServer(tls, answer)
for (const server of [both, plain, one]) server.on('upgrade', upgrade)
const all = [[both, 443], [plain, 80], [bad, 8443], [one, 9443]]
await Promise.all(all.map(([server, port]) => new Promise((done) => server.listen(port, address, done))))
fs.writeFileSync(`${folder}/ready`, '')
