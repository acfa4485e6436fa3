// BullMQ over ioredis: 10,000 jobs, some delayed, some that fail once, prioritized ones, a flow of parents and children, and a queue with a rate limit.
import { FlowProducer, Queue, QueueEvents, Worker } from "bullmq";
import { PRIMARY, equal, eventually, pause } from "./check.mjs";

const JOBS = 10_000;
const LIMITED = 30;
const connection = { host: "127.0.0.1", port: PRIMARY, maxRetriesPerRequest: null };
const begun = Date.now();
const queue = new Queue("work", { connection });
const events = new QueueEvents("work", { connection });
await events.waitUntilReady();
const done = new Map();
const tooEarly = [];
const attempts = new Map();
const worker = new Worker(
  "work",
  async (job) => {
    const { n, fails, delay } = job.data;
    attempts.set(n, (attempts.get(n) ?? 0) + 1);
    if (fails && attempts.get(n) === 1) throw new Error("the first time it fails");
    if (delay && Date.now() < job.timestamp + delay) tooEarly.push(n);
    done.set(n, (done.get(n) ?? 0) + 1);
    return n * 2;
  },
  { connection, concurrency: 50 },
);
worker.on("error", (error) => equal("an error of the worker", error.message, undefined));

const job = (n) => {
  const [fails, delay] = [n % 10 === 0, n % 10 === 1 ? 500 : 0];
  const opts = { attempts: 3, backoff: { type: "fixed", delay: 50 }, delay, priority: n % 10 === 2 ? 5 : undefined };
  return { name: "job", data: { n, fails, delay }, opts };
};
for (let from = 0; from < JOBS; from += 500) {
  await queue.addBulk(Array.from({ length: 500 }, (_, at) => job(from + at)));
}
const last = await queue.add("job", { n: JOBS });
equal("the value of a job that is waited for", await last.waitUntilFinished(events, 60_000), JOBS * 2);
await eventually("jobs that are done", { completed: JOBS + 1, failed: 0, waiting: 0, active: 0, delayed: 0, prioritized: 0 }, () => queue.getJobCounts("completed", "failed", "waiting", "active", "delayed", "prioritized"), 120);
equal("jobs done", done.size, JOBS + 1);
equal("jobs done more than once", [...done].filter(([, times]) => times !== 1), []);
equal("jobs that ran before their delay", tooEarly, []);
equal("jobs that were tried twice", [...attempts].filter(([n, times]) => times !== (n % 10 === 0 && n < JOBS ? 2 : 1)), []);

const flows = new FlowProducer({ connection });
const children = Array.from({ length: 20 }, (_, n) => ({ name: "child", queueName: "children", data: { n } }));
const order = [];
const childWorker = new Worker("children", async (job) => order.push(job.data.n), { connection });
const parentWorker = new Worker("parents", async (job) => Object.keys(await job.getChildrenValues()).length, { connection });
const parents = new QueueEvents("parents", { connection });
await parents.waitUntilReady();
const flow = await flows.add({ name: "parent", queueName: "parents", children });
equal("a parent's children", await flow.job.waitUntilFinished(parents, 30_000), 20);

const limited = new Queue("limited", { connection });
const times = [];
const limiter = new Worker("limited", async () => times.push(Date.now()), { connection, concurrency: 10, limiter: { max: 10, duration: 500 } });
await limited.addBulk(Array.from({ length: LIMITED }, (_, n) => ({ name: "limited", data: { n } })));
await eventually("jobs with a rate limit", LIMITED, () => times.length, 30);
const span = times[LIMITED - 1] - times[0];
equal("30 jobs at 10 in half a second take at least 0.9 s", span >= 900, true);

for (const one of [worker, childWorker, parentWorker, limiter]) await one.close();
for (const one of [queue, events, flows, parents, limited]) await one.close();
await pause(0);
console.log(`${JOBS + 1} jobs done once each, ${JOBS / 10} of them at the second attempt, ${JOBS / 10} delayed; a flow; ${LIMITED} with a rate limit in ${span} ms; ${((Date.now() - begun) / 1000).toFixed(1)} s`);
process.exit(0);
