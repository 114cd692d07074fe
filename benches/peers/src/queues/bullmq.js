// Does what it is told line by line, and answers with a line each.
const readline = require('node:readline')
const { Queue, Worker } = require('bullmq')

const { hostname: host, port } = new URL(process.argv[1])
const connection = { host, port: Number(port), maxRetriesPerRequest: null }
const QUEUE = 'bench'
const queue = new Queue(QUEUE, { connection, defaultJobOptions: { removeOnComplete: true } })

const told = {
  async batches(tasks, batch, payload) {
    const job = { name: 'task', data: payload }
    for (let at = 0; at < tasks; at += batch) {
      await queue.addBulk(Array(Math.min(batch, tasks - at)).fill(job))
    }
  },

  async singles(tasks, callers, payload) {
    const caller = async () => {
      for (let at = 0; at < tasks / callers; at += 1) {
        await queue.add('task', payload)
      }
    }
    await Promise.all(Array.from({ length: callers }, caller))
  },

  // Answers who did them.
  async process(tasks, concurrency) {
    const worker = new Worker(QUEUE, async () => {}, { connection, concurrency })
    let done = 0
    await new Promise((resolve, reject) => {
      worker.on('error', reject)
      worker.on('completed', () => ++done === tasks && resolve())
    })
    return worker
  },
}

async function obey() {
  await queue.waitUntilReady()
  console.log('ready')
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [what, tasks, many, payload] = line.split(' ')
    const worker = await told[what](Number(tasks), Number(many), payload)
    console.log('done')
    await worker?.close()
  }
}

obey().then(() => process.exit(0))
