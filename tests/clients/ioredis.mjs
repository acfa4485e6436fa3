// ioredis: pipelines, transactions, defined scripts, publish/subscribe at both ends, streams, reconnecting to what it had subscribed to.
import Redis from "ioredis";
import { PRIMARY, REPLICA, equal, eventually } from "./check.mjs";

const client = new Redis(PRIMARY);
const replica = new Redis(REPLICA);
client.defineCommand("swap", {
  numberOfKeys: 2,
  lua: "local a, b = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2]) redis.call('MSET', KEYS[1], b, KEYS[2], a) return {b, a}",
});
await client.mset("{s}a", "1", "{s}b", "2");
equal("a defined command", await client.swap("{s}a", "{s}b"), ["2", "1"]);
await client.script("FLUSH");
equal("a script that the server has forgotten", await client.swap("{s}a", "{s}b"), ["1", "2"]);
equal("a pipeline", await client.pipeline().set("x", 1).incr("x").lpush("x", 1).exec().then((replies) => replies.map(([error, reply]) => error?.message ?? reply)), ["OK", 2, "WRONGTYPE Operation against a key holding the wrong kind of value"]);
equal("a transaction", await client.multi().incr("x").get("x").exec(), [[null, 3], [null, "3"]]);
await eventually("a key on the replica", "3", () => replica.get("x"));
equal("a write on the replica", await replica.set("x", 1).catch((error) => error.message), "READONLY You can't write against a read only replica.");

for (const [name, port] of [["primary", PRIMARY], ["replica", REPLICA]]) {
  const subscriber = new Redis(port, { name });
  const got = [];
  subscriber.on("pmessageBuffer", (pattern, channel, message) => got.push(`${channel} ${message}`));
  await subscriber.psubscribe(`news.${name}.*`);
  await client.publish(`news.${name}.a`, "1");
  await eventually(`messages on the ${name}`, [`news.${name}.a 1`], () => got);
  // The connection is lost; the client subscribes again by itself.
  const id = (await (port === PRIMARY ? client : replica).client("LIST", "TYPE", "pubsub")).match(/^id=(\d+)/m)[1];
  await (port === PRIMARY ? client : replica).client("KILL", "ID", id);
  await eventually(`patterns on the ${name}`, 1, async () => {
    const other = port === PRIMARY ? client : replica;
    const now = (await other.client("LIST", "TYPE", "pubsub")).match(/^id=(\d+).*psub=1/m);
    return now && now[1] !== id ? 1 : 0;
  });
  await client.publish(`news.${name}.b`, "2");
  await eventually(`messages on the ${name} after a reconnect`, [`news.${name}.a 1`, `news.${name}.b 2`], () => got);
  subscriber.disconnect();
}

await client.xadd("stream", "*", "n", "1");
equal("a stream", (await client.xread("BLOCK", 100, "STREAMS", "stream", "0"))[0][1].map(([, fields]) => fields), [["n", "1"]]);
const blocked = new Redis(PRIMARY);
const popped = blocked.brpop("list", 10);
await client.lpush("list", "element");
equal("a blocking pop", await popped, ["list", "element"]);
for (const one of [client, replica, blocked]) one.disconnect();
console.log("defined scripts, pipelines, transactions, subscriptions that survive a lost connection, streams: as expected");
