// kafkajs administers and writes: what the Go programs do, as far as a client goes that reads only in groups. Arguments: the broker's
// address, the file of records, the word its topics begin with. The test reads the topics again with another client.
'use strict'
const assert = require('assert')
const fs = require('fs')
const { createRequire } = require('module')
const modules = createRequire(process.env.STOKER_NODE_MODULES + '/')

process.env.KAFKAJS_NO_PARTITIONER_WARNING = '1'
const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, logLevel } = modules('kafkajs')
const snappy = modules('snappyjs')
const lz4 = modules('lz4js')
const zstd = modules('@bokuweb/zstd-wasm')

const codec = (compress, decompress) => () => ({
  compress: async encoder => Buffer.from(compress(encoder.buffer)),
  decompress: async buffer => Buffer.from(decompress(buffer)),
})
// A frame of independent blocks, the only kind that Kafka reads; lz4js itself makes frames whose blocks may refer to earlier ones.
function lz4Frame(source) {
  const head = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0])
  head[6] = modules('lz4js/xxh32.js').hash(0, head, 4, 2) >>> 8 & 0xff
  const parts = [head]
  for (let at = 0; at < source.length; at += 65536) {
    const block = source.subarray(at, at + 65536)
    const room = Buffer.alloc(lz4.compressBound(block.length))
    const size = lz4.compressBlock(block, room, 0, block.length, new Uint32Array(65536))
    const isSmaller = size > 0 && size < block.length
    const length = Buffer.alloc(4)
    length.writeUInt32LE(isSmaller ? size : (block.length | 0x80000000) >>> 0)
    parts.push(length, isSmaller ? room.subarray(0, size) : block)
  }
  return Buffer.concat([...parts, Buffer.alloc(4)])
}

CompressionCodecs[CompressionTypes.Snappy] = codec(b => snappy.compress(b), b => snappy.uncompress(b))
CompressionCodecs[CompressionTypes.LZ4] = codec(lz4Frame, b => lz4.decompress(b))
CompressionCodecs[CompressionTypes.ZSTD] = codec(b => zstd.compress(b, 3), b => zstd.decompress(b))
const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD }

const [address, file, prefix] = process.argv.slice(2)
const unhex = text => text === null ? null : Buffer.from(text, 'hex')
const records = JSON.parse(fs.readFileSync(file)).map(row => {
  const headers = {}                                  // one name, one value or several
  for (const { Name, Value } of row.Headers) {
    headers[Name] = Name in headers ? [headers[Name], unhex(Value)].flat() : unhex(Value)
  }
  return { key: unhex(row.Key), value: unhex(row.Value), headers, timestamp: String(row.Timestamp), partition: 0 }
})
const base = 1650000000000
const numbers = count => [...Array(count).keys()].map(i => ({ value: `value ${i}`, timestamp: String(base + i * 10), partition: 0 }))

const kafka = new Kafka({ clientId: 'proof', brokers: [address], logLevel: logLevel.NOTHING, retry: { retries: 2, initialRetryTime: 30 } })
const admin = kafka.admin()
const topic = name => `${prefix}-${name}`

async function create(name, numPartitions = 1, settings = {}) {
  const configEntries = Object.entries({ 'retention.ms': '-1', ...settings }).map(([name, value]) => ({ name, value }))
  assert(await admin.createTopics({ waitForLeaders: true, topics: [{ topic: topic(name), numPartitions, replicationFactor: 1, configEntries }] }))
  return topic(name)
}

async function withProducer(options, work) {
  const producer = kafka.producer({ metadataMaxAge: 200, ...options })
  await producer.connect()
  try {
    return await work(producer)
  } finally {
    await producer.disconnect()
  }
}

// Expects a refusal of this type (Kafka's name of the error).
async function refused(type, promise) {
  try {
    await promise
  } catch (error) {
    const found = [error, ...(error.errors || []), error.cause].filter(Boolean).map(e => e.type)
    assert(found.includes(type), `refused as ${found} (${error.message}), not as ${type}`)
    return
  }
  assert.fail(`not refused as ${type}`)
}

async function until(what, ask) {
  for (const end = Date.now() + 20000; !await ask();) {
    assert(Date.now() < end, `not within 20 s: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

const cases = {
  'topics are created, configured, described and deleted, and refused as Kafka refuses': async () => {
    const name = await create('admin', 2, { 'segment.bytes': '54321' })
    const make = (topic, replicationFactor, key) => admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor,
      configEntries: key ? [{ name: key, value: '1' }] : [] }] })
    assert.strictEqual(await make(name, 1), false)   // so this client says TOPIC_ALREADY_EXISTS
    await refused('INVALID_CONFIG', make(name + 'x', 1, 'no.such'))
    await refused('INVALID_REPLICATION_FACTOR', make(name + 'x', 5))
    const resource = { type: ConfigResourceTypes.TOPIC, name }
    await admin.alterConfigs({ resources: [{ ...resource, configEntries: [{ name: 'retention.ms', value: '777' },
      { name: 'segment.bytes', value: '54321' }] }] })
    const { resources } = await admin.describeConfigs({ resources: [resource], includeSynonyms: true })
    const found = Object.fromEntries(resources[0].configEntries.map(e => [e.configName, e.configValue]))
    assert.deepStrictEqual([found['retention.ms'], found['segment.bytes']], ['777', '54321'])
    const cluster = await admin.describeCluster()
    assert(cluster.brokers.length === 1 && cluster.controller === cluster.brokers[0].nodeId && cluster.clusterId.length === 22,
      JSON.stringify(cluster))
    assert((await admin.listTopics()).includes(name))
    await admin.deleteTopics({ topics: [name] })
    await until('the topic is gone', async () => !(await admin.listTopics()).includes(name))
  },
  'records are taken with every codec and acks': async () => {
    for (const [codec, compression] of Object.entries(codecs)) {
      for (const [word, acks] of [['0', 0], ['1', 1], ['all', -1]]) {
        const name = await create(`${codec}-${word}`)
        const [sent] = await withProducer({}, p => p.send({ topic: name, acks, compression, messages: records })) || []
        assert(acks === 0 ? sent === undefined : sent.errorCode === 0 && sent.baseOffset === '0', JSON.stringify(sent))
      }
    }
  },
  'an LZ4 frame whose blocks depend on each other is refused as Kafka refuses it': async () => {
    const name = await create('lz4-dependent')
    const ours = CompressionCodecs[CompressionTypes.LZ4]
    CompressionCodecs[CompressionTypes.LZ4] = codec(b => lz4.compress(b), b => lz4.decompress(b))
    await withProducer({}, p => refused('UNKNOWN', p.send({ topic: name, compression: codecs.lz4, messages: numbers(5) })))
    CompressionCodecs[CompressionTypes.LZ4] = ours
    assert.strictEqual((await admin.fetchTopicOffsets(name))[0].high, '0')
  },
  'batches of a megabyte are taken with every codec': async () => {
    const name = await create('large')
    const noise = require('crypto').createHash('shake256', { outputLength: 900 * 1024 }).update('noise').digest()
    await withProducer({}, async producer => {
      for (const compression of Object.values(codecs)) {
        const one = [{ value: noise, timestamp: String(base), partition: 0 }]
        const many = [...Array(900).keys()].map(i => ({ key: String(i), value: noise.subarray(i * 1000, i * 1000 + 1000),
          timestamp: String(base + i), partition: 0 }))
        await producer.send({ topic: name, compression, messages: one })
        await producer.send({ topic: name, compression, messages: many })
      }
    })
  },
  'a record too large for its topic is refused, and the next one passes': async () => {
    const name = await create('small', 1, { 'max.message.bytes': '2000' })
    await withProducer({}, async producer => {
      await refused('MESSAGE_TOO_LARGE', producer.send({ topic: name, messages: [{ value: Buffer.alloc(5000), partition: 0 }] }))
      await producer.send({ topic: name, messages: numbers(1) })
    })
    assert.strictEqual((await admin.fetchTopicOffsets(name))[0].high, '1')
  },
  'the broker says its time where the topic wants it': async () => {
    const name = await create('append-time', 1, { 'message.timestamp.type': 'LogAppendTime' })
    await withProducer({}, async producer => {
      for (const compression of Object.values(codecs)) {
        const before = Date.now()
        const [sent] = await producer.send({ topic: name, compression, messages: numbers(5) })
        assert(Number(sent.logAppendTime) >= before && Number(sent.logAppendTime) <= Date.now(), JSON.stringify(sent))
      }
    })
  },
  'offsets for times, first and last offsets are right': async () => {
    const name = await create('times')
    await withProducer({}, p => p.send({ topic: name, compression: codecs.lz4, messages: numbers(50) }))
    for (const [when, offset] of [[base - 5, 0], [base, 0], [base + 1, 1], [base + 250, 25], [base + 490, 49], [base + 491, 50]]) {
      assert.strictEqual((await admin.fetchTopicOffsetsByTimestamp(name, when))[0].offset, String(offset), `from ${when} on`)
    }
    await admin.deleteTopicRecords({ topic: name, partitions: [{ partition: 0, offset: '20' }] })
    const [{ low, high }] = await admin.fetchTopicOffsets(name)
    assert.deepStrictEqual([low, high], ['20', '50'])
  },
  'an idempotent producer writes in order, once': async () => {
    const name = await create('idempotent', 3)
    await withProducer({ idempotent: true, maxInFlightRequests: 1 }, async producer => {
      for (let i = 0; i < 3000; i += 60) {
        const messages = [...Array(60).keys()].map(j => ({ value: String(Math.floor((i + j) / 3)), partition: (i + j) % 3 }))
        await producer.send({ topic: name, messages })
      }
    })
  },
  'an unknown topic is said to be unknown and is not made': async () => {
    const name = topic('nowhere')
    await refused('UNKNOWN_TOPIC_OR_PARTITION', admin.fetchTopicMetadata({ topics: [name] }))
    await withProducer({}, p => refused('UNKNOWN_TOPIC_OR_PARTITION', p.send({ topic: name, messages: [{ value: 'x' }] })))
    assert(!(await admin.listTopics()).includes(name))
  },
  'new partitions are noticed by the producer': async () => {
    const name = await create('grows')
    await withProducer({}, async producer => {
      await producer.send({ topic: name, messages: numbers(1) })
      await admin.createPartitions({ topicPartitions: [{ topic: name, count: 3 }] })
      await until('partition 2 takes a record', () => producer.send({ topic: name, messages: [{ value: 'new', partition: 2 }] })
        .then(([sent]) => sent !== undefined && sent.baseOffset === '0')) // undefined: the client knows no partition 2 yet
    })
    await refused('INVALID_PARTITIONS', admin.createPartitions({ topicPartitions: [{ topic: name, count: 2 }] }))
  },
}

async function main() {
  await zstd.init()
  await admin.connect()
  for (const [name, prove] of Object.entries(cases)) {
    const started = Date.now()
    const why = await prove().catch(e => e)
    if (why) {
      process.exitCode = 1
      console.log(`     ${why.stack}`)
    }
    console.log(`${why ? 'FAIL' : 'ok  '} ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`)
  }
  await admin.disconnect()
}

main()
