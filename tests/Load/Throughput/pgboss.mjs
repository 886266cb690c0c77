// One phase of the measurement of pg-boss: node pgboss.mjs PHASE JOBS CONCURRENCY; the connection comes in PGBOSS. Prints one line of JSON.
import * as pgboss from 'pg-boss'

const PgBoss = pgboss.PgBoss ?? pgboss.default
const [phase, jobsText, concurrencyText] = process.argv.slice(2)
const [jobs, concurrency] = [Number(jobsText), Number(concurrencyText)]
const queue = 'load'
// 32 connections and LISTEN/NOTIFY where this version has it: both in its favour.
const boss = new PgBoss({ connectionString: process.env.PGBOSS, max: 32, useListenNotify: true })
boss.on('error', error => console.error(error))
await boss.start()
await boss.createQueue(queue, { notify: true }).catch(() => undefined)

const data = { n: 1 }
const now = () => performance.now()
const report = result => console.log(JSON.stringify(result))
const work = handler => boss.work(queue, { batchSize: 100, pollingIntervalSeconds: 0.5, localConcurrency: 4 }, handler)
const quantile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]

if (phase === 'single') {
  const started = now()
  let left = jobs
  await Promise.all(Array.from({ length: concurrency }, async () => { while (left-- > 0) await boss.send(queue, data) }))
  report({ seconds: (now() - started) / 1000 })
} else if (phase === 'bulk') {
  const started = now()
  for (let left = jobs; left > 0; left -= 1000)
    await boss.insert(queue, Array.from({ length: Math.min(1000, left) }, () => ({ name: queue, data })))
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
} else if (phase === 'latency') {
  const starts = new Map()
  const waits = []
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
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  waits.push(...await Promise.all(probes))
  waits.sort((a, b) => a - b)
  report({ p50: quantile(waits, 0.5), p95: quantile(waits, 0.95), p99: quantile(waits, 0.99) })
} else if (phase === 'setup') {
  report({})
}

process.exit(0)
