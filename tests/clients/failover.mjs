// BullMQ over a failover: producers add jobs and ask with WAIT 1 whether the replica has them; the primary is killed in the middle, the
// replica promoted; workers and producers go on there. Jobs that WAIT acknowledged must be done; how often, the last line tells.
import Redis from "ioredis";
import { Queue, Worker } from "bullmq";
import { PRIMARY, REPLICA, equal, eventually, pause } from "./check.mjs";

const BEFORE = 1_000;
const AFTER = 500;
const connection = (port) => ({ host: "127.0.0.1", port, maxRetriesPerRequest: null });
const done = new Map();
const work = async (job) => {
  await pause(1);
  done.set(job.data.n, (done.get(job.data.n) ?? 0) + 1);
};
const open = (port) => {
  const worker = new Worker("work", work, { connection: connection(port), concurrency: 10, lockDuration: 2_000, stalledInterval: 1_000, maxStalledCount: 5 });
  worker.on("error", () => {});
  return worker;
};

const client = new Redis(connection(PRIMARY));
client.on("error", () => {});
const queue = new Queue("work", { connection: client });
queue.on("error", () => {});
const old = open(PRIMARY);
const acknowledged = new Set();
for (let n = 0; n < BEFORE; n++) {
  await queue.add("job", { n });
  // On the connection that wrote.
  if ((await client.wait(1, 5_000)) === 1) acknowledged.add(n);
}
// What comes last is under way when the primary dies.
const unsure = Array.from({ length: 100 }, (_, at) => queue.add("job", { n: BEFORE + at }).catch(() => {}));
await Promise.race(unsure);
process.kill(Number(process.env.PRIMARY_PID), "SIGKILL");
client.disconnect();
await old.close(true).catch(() => {});

const promoted = new Redis(connection(REPLICA));
equal("the promotion", await promoted.replicaof("NO", "ONE"), "OK");
const next = new Queue("work", { connection: promoted });
const worker = open(REPLICA);
for (let n = 0; n < AFTER; n++) await next.add("job", { n: 10_000 + n });
await eventually("jobs left", { waiting: 0, active: 0, delayed: 0, failed: 0 }, () => next.getJobCounts("waiting", "active", "delayed", "failed"), 60);
const times = [...acknowledged].map((n) => done.get(n) ?? 0);
const lost = times.filter((count) => count === 0).length;
const again = times.filter((count) => count > 1).length;
equal("jobs added after the failover and done once", [...done].filter(([n, count]) => n >= 10_000 && count === 1).length, AFTER);
equal("acknowledged jobs that were lost", lost, 0);
await worker.close();
// At most what was in the hands of the ten when the primary died comes again.
equal("no more than ten acknowledged jobs came again", again <= 10, true);
console.log(`${acknowledged.size} of ${BEFORE} jobs acknowledged by WAIT 1; lost: ${lost}; done more than once: ${again}; ${AFTER} more after the failover, each once`);
process.exit(0);
