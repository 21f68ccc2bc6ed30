// npm's ws against examples/conformance: node peer.js ws://127.0.0.1:9321
import assert from 'node:assert/strict'
import WebSocket from 'ws'

const base = process.argv[2]

// open connects and returns a connection with send and next, which gives message after message.
function open (path, subprotocols, options) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(base + path, subprotocols, options)
    const queue = []
    const waiting = []
    const put = item => waiting.length ? waiting.shift()(item) : queue.push(item)
    socket.on('message', (data, binary) => put(binary ? { binary: data } : JSON.parse(data)))
    socket.on('close', code => put({ closed: code }))
    socket.on('error', reject)
    socket.on('open', () => resolve({
      socket,
      send: message => socket.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message)),
      next: () => queue.length ? Promise.resolve(queue.shift()) : new Promise(resolve => waiting.push(resolve))
    }))
  })
}

async function ask (c, message, want) {
  c.send(message)
  assert.deepEqual(await c.next(), want)
}

const deadline = setTimeout(() => { console.error('ws: no end within 30 s'); process.exit(1) }, 30_000)

const c = await open('/ws', ['wsx.v1'])
assert.equal(c.socket.protocol, 'wsx.v1')
assert.equal(c.socket.extensions, '', 'ws offers permessage-deflate; the server has it off')
await ask(c, { type: 'rpc.request', id: 1, method: 'add', params: { a: 2, b: 40 } }, { type: 'rpc.response', id: 1, result: { sum: 42 } })
await ask(c, Buffer.from('{"type":"rpc.ping","id":"binary"}'), { type: 'rpc.pong', id: 'binary' })
await ask(c, { type: 'rpc.request', id: 'big', method: 'echo', params: 'ü'.repeat(30_000) }, { type: 'rpc.response', id: 'big', result: 'ü'.repeat(30_000) })
await ask(c, { jsonrpc: '2.0', id: 2, method: 'subtract', params: [42, 23] }, { jsonrpc: '2.0', id: 2, result: 19 })

c.send({ type: 'rpc.request', id: 'n', method: 'count', params: { n: 100 } })
for (let i = 0; i < 100; i++) assert.deepEqual(await c.next(), { type: 'rpc.stream', id: 'n', item: i, seq: i })
assert.deepEqual(await c.next(), { type: 'rpc.response', id: 'n', result: { count: 100 } })

c.send({ type: 'rpc.request', id: 'c', method: 'callback', params: { method: 'name', params: null } })
const call = await c.next()
assert.equal(call.method, 'name')
await ask(c, { type: 'rpc.response', id: call.id, result: 'ws' }, { type: 'rpc.response', id: 'c', result: 'ws' })

c.send({ type: 'rpc.subscribe', id: 's', channel: 'plain.ws' })
const { result: { subscription } } = await c.next()
c.send({ type: 'rpc.request', id: 'p', method: 'publish', params: { channel: 'plain.ws', payload: [1] } })
const both = [await c.next(), await c.next()].sort((a, b) => a.type < b.type ? -1 : 1)
assert.deepEqual(both, [
  { type: 'rpc.event', channel: 'plain.ws', payload: [1], meta: { sub_id: subscription } },
  { type: 'rpc.response', id: 'p', result: {} }
])

c.send('WSX://' + JSON.stringify({ id: 't', method: 'GET', path: '/hello/ws' }))
c.socket.removeAllListeners('message')
const answer = await new Promise(resolve => c.socket.once('message', data => resolve(String(data))))
assert.deepEqual(JSON.parse(answer.slice('WSX://'.length)).data, { hello: 'ws' })

const pong = new Promise(resolve => c.socket.once('pong', data => resolve(String(data))))
c.socket.ping('still there?')
assert.equal(await pong, 'still there?')
c.socket.close(1000)
assert.deepEqual(await c.next(), { closed: 1000 })

const big = await open('/ws')
big.send('x'.repeat(70_000))
assert.deepEqual(await big.next(), { closed: 1009 })

const alice = await open('/ws-auth', [], { headers: { Authorization: 'Bearer alice-token' } })
await ask(alice, { type: 'rpc.request', id: 1, method: 'whoami' }, { type: 'rpc.response', id: 1, result: { subject: 'alice' } })
alice.socket.terminate()
await assert.rejects(open('/ws-auth'), /401/)
await assert.rejects(open('/ws', [], { origin: 'https://evil.example' }), /403/)

clearTimeout(deadline)
console.log('ok: npm ws')
