// node-redis: pipelines, transactions with WATCH, publish/subscribe at both ends, scripts, blocking, iterators, RESP3, client-side caching.
import { createClient, createClientPool, defineScript } from "redis";
import { PRIMARY, REPLICA, equal, eventually } from "./check.mjs";

const add = defineScript({
  SCRIPT: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
  NUMBER_OF_KEYS: 1,
  parseCommand(parser, key, n) {
    parser.pushKey(key);
    parser.push(n.toString());
  },
  transformReply: Number,
});
const open = (port, more = {}) => createClient({ socket: { host: "127.0.0.1", port }, RESP: 3, scripts: { add }, ...more }).connect();
const client = await open(PRIMARY);
const replica = await open(REPLICA);

equal("a pipeline", (await Promise.all(Array.from({ length: 1000 }, (_, n) => client.set(`k:${n}`, n)))).every((reply) => reply === "OK"), true);
let seen = 0;
for await (const keys of client.scanIterator({ MATCH: "k:*", COUNT: 100 })) seen += keys.length;
equal("keys of a scan", seen, 1000);
await eventually("keys on the replica", "999", () => replica.get("k:999"));

const pool = await createClientPool({ socket: { host: "127.0.0.1", port: PRIMARY } }, { maximum: 8 }).connect();
await client.set("watched", 0);
const increment = () =>
  pool.execute(async (one) => {
    for (;;) {
      await one.watch("watched");
      const value = Number(await one.get("watched"));
      try {
        await one.multi().set("watched", value + 1).exec();
        return;
      } catch (error) {
        if (error.constructor.name !== "WatchError") throw error;
      }
    }
  });
await Promise.all(Array.from({ length: 100 }, increment));
equal("a counter under WATCH", await client.get("watched"), "100");

for (const [name, port] of [["primary", PRIMARY], ["replica", REPLICA]]) {
  const subscriber = await open(port);
  const got = [];
  await subscriber.subscribe(`news:${name}`, (message) => got.push(Number(message)));
  for (let n = 0; n < 100; n++) await client.publish(`news:${name}`, String(n));
  await eventually(`messages on the ${name}`, Array.from({ length: 100 }, (_, n) => n), () => got);
  subscriber.destroy();
}

equal("scripts", [await client.add("n", 5), await client.add("n", 6)], [5, 11]);
await client.hSet("h", { a: "1", b: "2" });
equal("a hash in RESP3", { ...(await client.hGetAll("h")) }, { a: "1", b: "2" });
await client.zAdd("z", [{ score: 1.5, value: "x" }, { score: -Infinity, value: "y" }]);
equal("scores in RESP3", await client.zRangeWithScores("z", 0, -1), [{ value: "y", score: -Infinity }, { value: "x", score: 1.5 }]);

const blocked = await open(PRIMARY);
const popped = blocked.blPop("list", 10);
await client.rPush("list", "element");
equal("a blocking pop", { ...(await popped) }, { key: "list", element: "element" });

const cached = await open(PRIMARY, { clientSideCache: { ttl: 0, maxEntries: 100 } });
await client.set("cached", "old");
equal("a first read", [await cached.get("cached"), await cached.get("cached")], ["old", "old"]);
await client.set("cached", "new");
await eventually("a read after another client's write", "new", () => cached.get("cached"));

for (const one of [client, replica, blocked, cached]) one.destroy();
await pool.close();
console.log("1,000 keys, 100 increments under WATCH, 200 messages at both ends, scripts, RESP3, cache: as expected");
process.exit(0);
