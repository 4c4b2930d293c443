// What users do with E2B's JS SDK, unmodified, against a control plane. The folder that the SDK was
// installed into is the first argument; the environment says where the control plane is.
// E2E_INGRESS, when given, is where the names of ports lead over plain HTTP.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import http from 'node:http'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const require = createRequire(pathToFileURL(`${process.argv[2]}/package.json`))
const { Sandbox, CommandExitError, FileType, FilesystemEventType, NotFoundError, TimeoutError, Volume, VolumePathNotFoundError } =
  require('e2b')

const PATIENCE = 30_000
const mark = { walk: randomUUID(), words: 'a & b = c/ä' }
const made = []

async function create(options) {
  const sandbox = await Sandbox.create('base', { timeoutMs: 120_000, metadata: mark, ...options })
  made.push(sandbox)
  return sandbox
}

async function until(what, so) {
  const end = Date.now() + PATIENCE
  while (!(await so())) {
    if (Date.now() > end) throw new Error(`waited too long: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function listed(query) {
  const pages = Sandbox.list({ query: { metadata: mark, ...query } })
  const found = []
  while (pages.hasNext) found.push(...(await pages.nextItems()).map((one) => one.sandboxId))
  return found
}

// The names of ports need no DNS: what Node connects to is given.
function get(host, headers) {
  const [address, port] = process.env.E2E_INGRESS.split(':')
  return new Promise((resolve, reject) => {
    const options = { host: address, port, path: '/', headers: { ...headers, host }, timeout: PATIENCE }
    const request = http.get(options, (answer) => {
      let body = ''
      answer.on('data', (bytes) => (body += bytes))
      answer.on('end', () => resolve({ status: answer.statusCode, body }))
    })
    request.on('error', reject)
  })
}

async function commands(sandbox) {
  const done = await sandbox.commands.run('echo "$A-$B"; echo err >&2', { envs: { B: '2' } })
  assert.deepEqual([done.exitCode, done.stdout, done.stderr], [0, '1-2\n', 'err\n'])
  assert.equal((await sandbox.commands.run('whoami; pwd')).stdout, 'user\n/home/user\n')
  assert.equal((await sandbox.commands.run('whoami; pwd', { user: 'root', cwd: '/tmp' })).stdout, 'root\n/tmp\n')
  await assert.rejects(sandbox.commands.run('echo no; exit 3'), (error) => {
    assert.ok(error instanceof CommandExitError)
    assert.deepEqual([error.exitCode, error.stdout], [3, 'no\n'])
    return true
  })
  await assert.rejects(sandbox.commands.run('true', { cwd: '/nowhere' }), /nowhere/)
  await assert.rejects(sandbox.commands.run('sleep 60', { timeoutMs: 500 }), TimeoutError)

  const parts = []
  const streamed = await sandbox.commands.run('for i in 1 2 3; do echo $i; sleep 0.1; done', {
    onStdout: (text) => parts.push(text),
  })
  assert.equal(parts.join(''), '1\n2\n3\n')
  assert.ok(parts.length > 1, 'output comes as it is written')
  assert.equal(streamed.stdout, '1\n2\n3\n')
  const much = await sandbox.commands.run('head -c 3000000 /dev/zero | tr "\\0" x')
  assert.equal(much.stdout.length, 3_000_000)

  const background = await sandbox.commands.run('echo begun; sleep 60', { background: true })
  const running = await sandbox.commands.list()
  assert.ok(running.some((one) => one.pid === background.pid && one.args.join(' ').includes('sleep 60')))
  const again = await sandbox.commands.connect(background.pid)
  assert.equal(await sandbox.commands.kill(background.pid), true)
  await assert.rejects(background.wait(), CommandExitError)
  await assert.rejects(again.wait(), CommandExitError)
  assert.equal(await sandbox.commands.kill(background.pid), false)

  const cat = await sandbox.commands.run('cat', { background: true, stdin: true })
  await sandbox.commands.sendStdin(cat.pid, 'first ')
  await sandbox.commands.sendStdin(cat.pid, 'ä\n')
  await until('cat has answered', () => cat.stdout === 'first ä\n')
  await sandbox.commands.closeStdin(cat.pid)
  assert.equal((await cat.wait()).exitCode, 0)
  await assert.rejects(sandbox.commands.connect(4_000_000), NotFoundError)
}

async function files(sandbox) {
  const { files } = sandbox
  const written = await files.write('docs/note.txt', 'text ä')
  assert.deepEqual([written.name, written.path], ['note.txt', '/home/user/docs/note.txt'])
  assert.equal(await files.read('docs/note.txt'), 'text ä')
  const bytes = new Uint8Array(1 << 20).map((_, at) => at % 251)
  await files.write([
    { path: '/tmp/many/a.bin', data: bytes.buffer },
    { path: '/tmp/many/b.txt', data: new Blob(['blob']) },
  ])
  assert.deepEqual(await files.read('/tmp/many/a.bin', { format: 'bytes' }), bytes)
  assert.equal(await (await files.read('/tmp/many/b.txt', { format: 'blob' })).text(), 'blob')
  let streamed = 0
  for await (const chunk of await files.read('/tmp/many/a.bin', { format: 'stream' })) streamed += chunk.length
  assert.equal(streamed, bytes.length)

  assert.equal(await files.makeDir('docs/deep/er'), true)
  assert.equal(await files.makeDir('docs/deep/er'), false)
  const names = async (depth) => (await files.list('docs', { depth })).map((one) => `${one.type}:${one.name}`).sort()
  assert.deepEqual(await names(1), ['dir:deep', 'file:note.txt'])
  assert.deepEqual(await names(2), ['dir:deep', 'dir:er', 'file:note.txt'])
  const info = await files.getInfo('docs/note.txt')
  assert.deepEqual([info.type, info.size, info.owner, info.mode], [FileType.FILE, 7, 'user', 0o644])
  assert.equal((await files.rename('docs/note.txt', 'docs/renamed.txt')).name, 'renamed.txt')
  assert.deepEqual([await files.exists('docs/note.txt'), await files.exists('docs/renamed.txt')], [false, true])
  await files.remove('docs/renamed.txt')
  await assert.rejects(files.read('docs/renamed.txt'), NotFoundError)

  const events = []
  const watch = await files.watchDir('docs', (event) => events.push(event), { recursive: true })
  await files.write('docs/deep/new.txt', 'x')
  const seen = (type) => events.some((one) => one.type === type && one.name === 'deep/new.txt')
  await until('a written file is seen', () => seen(FilesystemEventType.CREATE) && seen(FilesystemEventType.WRITE))
  await files.remove('docs/deep/new.txt')
  await until('a removed file is seen', () => seen(FilesystemEventType.REMOVE))
  await watch.stop()
}

async function signed(sandbox) {
  const put = await fetch(await sandbox.uploadUrl('signed.txt', { useSignatureExpiration: 60_000 }), {
    method: 'POST',
    body: (() => {
      const form = new FormData()
      form.append('file', new Blob(['by URL']), 'signed.txt')
      return form
    })(),
  })
  assert.equal(put.status, 200, await put.text())
  const got = await fetch(await sandbox.downloadUrl('signed.txt', { useSignatureExpiration: 60_000 }))
  assert.equal(await got.text(), 'by URL')
}

async function terminal(sandbox) {
  let screen = ''
  const onData = (bytes) => (screen += Buffer.from(bytes).toString())
  const pty = await sandbox.pty.create({ cols: 80, rows: 24, onData, envs: { PS1: '> ' } })
  const type = (text) => sandbox.pty.sendInput(pty.pid, Buffer.from(text))
  await type('stty size\n')
  await until('the size is shown', () => screen.includes('24 80'))
  await sandbox.pty.resize(pty.pid, { cols: 100, rows: 40 })
  await type('stty size\n')
  await until('the new size is shown', () => screen.includes('40 100'))
  await type('exit\n')
  assert.equal((await pty.wait()).exitCode, 0)
  const other = await sandbox.pty.create({ cols: 80, rows: 24, onData })
  assert.equal(await sandbox.pty.kill(other.pid), true)
}

async function ports(sandbox) {
  const page = `<p>${mark.walk}</p>`
  await sandbox.files.write('web/index.html', page)
  const server = process.env.E2E_WEB_SERVER
  await sandbox.commands.run(server, { background: true, cwd: '/home/user/web', timeoutMs: 0 })
  const host = sandbox.getHost(8000)
  assert.ok(host.startsWith(`8000-${sandbox.sandboxId}.`), host)
  const headers = sandbox.trafficAccessToken
    ? { 'e2b-traffic-access-token': sandbox.trafficAccessToken }
    : {}
  // With names that the machine resolves, fetch is enough.
  const ask = process.env.E2E_INGRESS
    ? () => get(host, headers)
    : async (url = `https://${host}/`) => {
        const answer = await fetch(url, { headers })
        return { status: answer.status, body: await answer.text() }
      }
  await until('the page is served', async () => (await ask()).status === 200)
  assert.equal((await ask()).body, page)
}

async function life(sandbox) {
  assert.equal(await sandbox.isRunning(), true)
  const info = await sandbox.getInfo()
  assert.deepEqual([info.sandboxId, info.state, info.metadata], [sandbox.sandboxId, 'running', mark])
  await sandbox.setTimeout(300_000)
  assert.ok((await sandbox.getInfo()).endAt > info.endAt)
  const other = await create()
  assert.deepEqual(await listed(), [other.sandboxId, sandbox.sandboxId])
  assert.equal(await other.kill(), true)
  assert.equal(await other.isRunning(), false)
  await assert.rejects(other.commands.run('true'), /not running anymore/)
  assert.equal(await Sandbox.kill(other.sandboxId), false)

  const loop = await sandbox.commands.run('while true; do date +%s%N > /tmp/tick; sleep 0.05; done', {
    background: true,
    timeoutMs: 0,
  })
  assert.equal(await sandbox.pause(), true)
  assert.equal(await sandbox.isRunning(), false)
  assert.deepEqual(await listed({ state: ['paused'] }), [sandbox.sandboxId])
  const back = await Sandbox.connect(sandbox.sandboxId, { timeoutMs: 200_000 })
  assert.equal(await back.isRunning(), true)
  const tick = () => back.files.read('/tmp/tick')
  const before = await tick()
  await until('processes go on after a pause', async () => (await tick()) !== before)
  assert.ok((await back.commands.list()).some((one) => one.pid === loop.pid))
  assert.equal(await back.commands.kill(loop.pid), true)
  await assert.rejects(Sandbox.connect('i0000000000000000000'), NotFoundError)
}

async function killedDuringRun() {
  const sandbox = await create()
  const command = await sandbox.commands.run('sleep 60', { background: true })
  await sandbox.kill()
  await assert.rejects(command.wait(), /sandbox was killed or reached its end of life/)
}

async function snapshots(sandbox) {
  await sandbox.files.write('kept.txt', 'kept')
  const snapshot = await sandbox.createSnapshot()
  const again = await Sandbox.create(snapshot.snapshotId, { metadata: mark })
  made.push(again)
  assert.equal(await again.files.read('kept.txt'), 'kept')
  assert.equal(await again.kill(), true)
  assert.equal(await Sandbox.deleteSnapshot(snapshot.snapshotId), true)
  const metrics = await sandbox.getMetrics()
  assert.ok(Array.isArray(metrics))
}

async function volumes() {
  const volume = await Volume.create(`walk-${mark.walk}`)
  try {
    const written = await volume.writeFile('/note.txt', 'text ä', { uid: 1000, gid: 1000, mode: 0o600 })
    assert.deepEqual([written.path, Number(written.size), written.uid, written.mode], ['/note.txt', 7, 1000, 0o600])
    const bytes = new Uint8Array(3_000_000).map((_, at) => at % 251)
    await volume.writeFile('/big.bin', new Blob([bytes]).stream())
    assert.deepEqual(await volume.readFile('/big.bin', { format: 'bytes' }), bytes)
    await assert.rejects(volume.readFile('/none'), VolumePathNotFoundError)
    const mounted = { volumeMounts: { '/data': volume } }
    const [one, two] = [await create(mounted), await create(mounted)]
    assert.equal((await one.commands.run('cat /data/note.txt; echo more >> /data/note.txt')).stdout, 'text ä')
    assert.equal(await two.files.read('/data/note.txt'), 'text ämore\n')
    await assert.rejects(Volume.destroy(volume.volumeId), /has the volume/)
    for (const sandbox of [one, two]) assert.equal(await sandbox.kill(), true)
  } finally {
    assert.equal(await Volume.destroy(volume.volumeId), true)
  }
}

try {
  const sandbox = await create({ envs: { A: '1' } })
  for (const step of [commands, files, signed, terminal, ports, life, killedDuringRun, snapshots, volumes]) {
    const begin = Date.now()
    await step(sandbox)
    console.error(`${step.name}: ${Date.now() - begin} ms`)
  }
  assert.equal(await sandbox.kill(), true)
  assert.deepEqual(await listed(), [])
  console.log('walked')
} finally {
  for (const sandbox of made) await sandbox.kill().catch(() => {})
}
process.exit(0)
