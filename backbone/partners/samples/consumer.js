// Reads the topics that you were granted, and prints each event once.
//
//     npm install
//     node consumer.js          until Ctrl-C
//     node consumer.js 10       ten events, then stops
//
// An event is handled, then its offset is committed: after a crash it may come again, and is known by its `ce_id`.
// Your system keeps that id in the transaction that holds the effect; here it is a file.
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { Kafka, logLevel } = require('kafkajs')

const SEEN = path.join(__dirname, 'seen.txt')
// What no later attempt changes.
const FINAL = ['TOPIC_AUTHORIZATION_FAILED', 'GROUP_AUTHORIZATION_FAILED', 'KafkaJSSASLAuthenticationError']
const wanted = Number(process.argv[2] ?? 0)

function settings () {
  const lines = fs.readFileSync(path.join(__dirname, 'partner.env'), 'utf8').split('\n')
  return Object.fromEntries(lines
    .filter(line => line.includes('=') && !line.startsWith('#'))
    .map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1).trim()]))
}

// Client credentials (RFC 6749, section 4.4), asked for again before a token ends. kafkajs asks at each connection and
// each re-authentication: one token serves them all.
function tokenProvider (read) {
  let token = ''
  let renewAt = 0
  return async () => {
    if (Date.now() >= renewAt) {
      const pair = Buffer.from(`${read.CLIENT_ID}:${read.CLIENT_SECRET}`).toString('base64')
      const answer = await fetch(read.TOKEN_URL, {
        method: 'POST',
        headers: { Authorization: `Basic ${pair}` },
        body: new URLSearchParams({ grant_type: 'client_credentials' }),
        signal: AbortSignal.timeout(5000)
      })
      if (answer.status === 400 || answer.status === 401) fail(`${read.CLIENT_ID} is refused: rotated or revoked?`)
      if (!answer.ok) throw new Error(`no token: ${answer.status}`)
      const tokens = await answer.json()
      token = tokens.access_token
      renewAt = Date.now() + tokens.expires_in * 500
    }
    return { value: token }
  }
}

// Yours to write.
async function handle (attributes, data) {
  console.log(JSON.stringify({ ...attributes, data }))
}

function fail (reason) {
  console.error(`stopped: ${reason}`)
  process.exit(1)
}

async function main () {
  const read = settings()
  if (!read.TOPICS) fail('no topic in partner.env: ask for one to be granted')
  const secure = read.KAFKA_SECURITY_PROTOCOL === 'SASL_SSL'
  const ca = secure && read.KAFKA_CAFILE ? [fs.readFileSync(path.join(__dirname, read.KAFKA_CAFILE))] : undefined
  const kafka = new Kafka({
    clientId: read.CLIENT_ID,
    brokers: [read.KAFKA_BOOTSTRAP],
    ssl: ca ? { ca } : secure,
    sasl: { mechanism: 'oauthbearer', oauthBearerProvider: tokenProvider(read) },
    // Re-authenticates this long, in milliseconds, before the broker would close the connection.
    reauthenticationThreshold: 10000,
    logLevel: logLevel.NOTHING
  })
  const seen = new Set(fs.existsSync(SEEN) ? fs.readFileSync(SEEN, 'utf8').split('\n') : [])
  let count = 0
  let stopping = false
  let consumer
  let startedAt = 0
  let failures = 0

  const stop = () => {
    if (stopping) return
    stopping = true
    consumer.disconnect().then(() => process.exit(0), () => process.exit(1))
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)

  // kafkajs starts again by itself after most errors. Not after this one: while it re-authenticates, another request of
  // its own may slip in, which the broker answers with ILLEGAL_SASL_STATE. A new consumer goes on from the last commit.
  const again = error => {
    if (stopping) return
    failures = Date.now() - startedAt < 10000 ? failures + 1 : 0
    if (FINAL.includes(error.type ?? error.cause?.type ?? error.name) || failures >= 5) fail(error.message)
    consumer.disconnect().catch(() => {}).then(() => setTimeout(() => start().catch(again), 500))
  }

  const eachMessage = async ({ topic, partition, message }) => {
    if (stopping || (wanted > 0 && count >= wanted)) return
    const attributes = Object.fromEntries(Object.entries(message.headers)
      .filter(([name]) => name.startsWith('ce_'))
      .map(([name, value]) => [name.slice(3), String(value)]))
    if (!attributes.id) {
      console.error(`skipped: no CloudEvent at ${topic}`)
    } else if (!seen.has(attributes.id)) {
      await handle(attributes, JSON.parse(message.value.toString()))
      seen.add(attributes.id)
      fs.appendFileSync(SEEN, `${attributes.id}\n`)
      count += 1
    }
    await consumer.commitOffsets([{ topic, partition, offset: String(BigInt(message.offset) + 1n) }])
    if (wanted > 0 && count >= wanted) setImmediate(stop)
  }

  async function start () {
    startedAt = Date.now()
    consumer = kafka.consumer({ groupId: read.GROUP })
    consumer.on(consumer.events.CRASH, ({ payload }) => { if (!payload.restart) again(payload.error) })
    await consumer.connect()
    // A new group reads everything that is kept.
    await consumer.subscribe({ topics: read.TOPICS.split(','), fromBeginning: true })
    await consumer.run({ autoCommit: false, eachMessage })
  }
  await start()
}

main().catch(error => fail(error.message))
