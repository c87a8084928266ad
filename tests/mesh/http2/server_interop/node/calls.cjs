// Calls a server by grpc-js: node calls.cjs <port>. It prints a line of JSON for each call, with its name and result.
'use strict'

const grpc = require('@grpc/grpc-js')

const BURST = 100
const STEADY_CALLS = 20
const STEADY_MS = 800
const TEXTS = ['plain', ' spaces ', ' ', '100 %', '\t\nwhitespace\r\nand Unicode ☺ and 😈\t\n']

const asBytes = (message) => message

const method = (name, requestStream, responseStream) => ({
  path: `/plain.Service/${name}`,
  requestStream,
  responseStream,
  requestSerialize: asBytes,
  requestDeserialize: asBytes,
  responseSerialize: asBytes,
  responseDeserialize: asBytes
})

const Client = grpc.makeClientConstructor({
  unary: method('Unary', false, false),
  count: method('Count', false, true),
  sum: method('Sum', true, false),
  echo: method('Echo', true, true),
  fail: method('Fail', false, false),
  wait: method('Wait', false, false)
}, 'plain.Service')

const report = (call, result) => console.log(JSON.stringify({ call, result }))

const unary = (client, name, request, options = {}) => new Promise((resolve) => {
  client[name](request, new grpc.Metadata(), options, (error, response) => resolve({ error, response }))
})

const collect = (stream) => new Promise((resolve, reject) => {
  let count = 0
  stream.on('data', (message) => { count += message.length }).on('error', reject).on('end', () => resolve(count))
})

const write = (stream) => {
  for (let turn = 0; turn < 1000; turn++) stream.write(Buffer.alloc(1000))
  stream.end()
}

async function callEveryKind (client, name) {
  // The first calls leave before the settings of the server have arrived.
  const burst = await Promise.all(Array.from({ length: BURST }, (_, n) => unary(client, 'unary', Buffer.alloc(n * 1000))))
  const lengths = burst.map(({ response }) => response?.length)
  report(`${name} burst`, lengths.every((length, n) => length === n * 1000))
  report(`${name} count`, await collect(client.count(Buffer.alloc(1000000))))
  report(`${name} sum`, await new Promise((resolve, reject) => {
    write(client.sum((error, response) => error ? reject(error) : resolve(response.length)))
  }))
  const echo = client.echo()
  write(echo)
  report(`${name} echo`, await collect(echo))
}

async function fail (client) {
  for (const text of TEXTS) {
    const { error } = await unary(client, 'fail', Buffer.from(text))
    const bytes = error.metadata.get('x-bytes-bin')[0]
    report('fail', [error.code, error.details === text, bytes.every((byte, n) => byte === n) && bytes.length === 256])
  }
  report('deadline', (await unary(client, 'wait', Buffer.from('a'), { deadline: Date.now() + 100 })).error.code)
  report('cancelled', await new Promise((resolve) => {
    const call = client.wait(Buffer.from('a'), (error) => resolve(error.code))
    setTimeout(() => call.cancel(), 50)
  }))
}

async function callSteadily (client) {
  const end = Date.now() + STEADY_MS
  const failures = []
  await Promise.all(Array.from({ length: STEADY_CALLS }, async () => {
    while (Date.now() < end) {
      const { error } = await unary(client, 'unary', Buffer.from('a'))
      if (error) failures.push(error.message)
    }
  }))
  report('steady', failures)
}

async function main (address) {
  for (const name of ['identity', 'deflate', 'gzip']) {
    const options = { 'grpc.default_compression_algorithm': grpc.compressionAlgorithms[name] }
    const client = new Client(address, grpc.credentials.createInsecure(), options)
    await callEveryKind(client, name)
    if (name === 'identity') {
      await fail(client)
      await callSteadily(client)
    }
    client.close()
  }
}

main(`127.0.0.1:${process.argv[2]}`)
