// One phase of the measurement of pg-boss: node pgboss.mjs PHASE JOBS NUMBER BATCH; the connection comes in PGBOSS. Prints one line of JSON.
import { PgBoss } from 'pg-boss'

const [phase, ...numbers] = process.argv.slice(2)
// The number: callers at once, or milliseconds between two probes.
const [jobs, number, batchSize] = numbers.map(Number)
const queue = 'load'
// 32 connections, LISTEN/NOTIFY, fetchers that fetch on while batches are full: all in its favour.
const boss = new PgBoss({ connectionString: process.env.PGBOSS, max: 32, useListenNotify: true })
boss.on('error', error => console.error(error))
await boss.start()
if (phase === 'setup')
  await boss.createQueue(queue, { notify: true })

const data = { n: 1 }
const now = () => performance.now()
const report = result => console.log(JSON.stringify(result))
const work = handler => boss.work(queue, {
  batchSize, localConcurrency: batchSize > 2 ? 4 : 32, pollingIntervalSeconds: 0.5, notifyPollingIntervalSeconds: 0.5, burstWhenBatchFull: true
}, handler)

if (phase === 'single') {
  const started = now()
  let left = jobs
  await Promise.all(Array.from({ length: number }, async () => { while (left-- > 0) await boss.send(queue, data) }))
  report({ seconds: (now() - started) / 1000 })
} else if (phase === 'bulk') {
  const started = now()
  for (let left = jobs; left > 0; left -= 1000)
    await boss.insert(queue, Array.from({ length: Math.min(1000, left) }, () => ({ data })))
  report({ seconds: (now() - started) / 1000 })
} else if (phase === 'drain') {
  let [done, first, last] = [0, 0, 0]
  await new Promise(resolve => {
    work(async batch => {
      last = now()
      first ||= last
      done += batch.length
      if (done >= jobs) resolve()
    })
  })
  report({ seconds: (last - first) / 1000 })
  await boss.stop({ graceful: true, timeout: 10_000 })
} else if (phase === 'latency') {
  const starts = new Map()
  await work(async batch => { for (const job of batch) starts.get(job.data.key)?.(now()) })
  const probe = async key => {
    const start = new Promise(resolve => starts.set(key, resolve))
    const before = now()
    await boss.send(queue, { key })
    return (await start) - before
  }
  for (let i = 0; i < 20; i++) await probe(`warm${i}`)
  const probes = []
  for (let i = 0; i < jobs; i++) {
    probes.push(probe(`p${i}`))
    await new Promise(resolve => setTimeout(resolve, number))
  }
  report({ waits: await Promise.all(probes) })
  await boss.stop({ graceful: true, timeout: 10_000 })
} else {
  report({})
}

process.exit(0)
