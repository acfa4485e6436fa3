"""redis-py: locks, pipelines, transactions, publish/subscribe, scripts, streams, asyncio; reads from the replica."""

import asyncio
import threading

import redis
import redis.asyncio

from check import PRIMARY, REPLICA, equal, eventually

LOCKERS, TURNS = 8, 50


def pipelines(client, replica):
    with client.pipeline(transaction=False) as pipe:
        for n in range(1000):
            pipe.set(f"pipe:{n}", n)
        equal("replies of a pipeline", pipe.execute(), [True] * 1000)
    with client.pipeline() as pipe:
        pipe.incrby("total", 5).hset("hash", mapping={"a": 1, "b": 2}).lrange("nothing", 0, -1)
        equal("a transaction", pipe.execute(), [5, 2, []])
    eventually("keys on the replica", b"999", lambda: replica.get("pipe:999"))
    equal("scan_iter", len(list(client.scan_iter("pipe:*", count=100))), 1000)


def watched(client):
    """Threads that add one by one with WATCH; none is lost."""
    client.set("watched", 0)

    def add():
        for _ in range(TURNS):
            client.transaction(lambda pipe: (value := int(pipe.get("watched")), pipe.multi(), pipe.set("watched", value + 1)), "watched")

    run_together(add)
    equal("a counter under WATCH", int(client.get("watched")), LOCKERS * TURNS)


def locks(client):
    """Threads that add one by one under a lock; none is lost, and the lock is free in the end."""
    client.set("locked", 0)

    def add():
        for _ in range(TURNS):
            with client.lock("lock", timeout=10, blocking_timeout=30, sleep=0.002):
                client.set("locked", int(client.get("locked")) + 1)

    run_together(add)
    equal("a counter under a lock", int(client.get("locked")), LOCKERS * TURNS)
    equal("the lock", client.exists("lock"), 0)
    lock = client.lock("lock", timeout=10)
    lock.acquire()
    equal("a second owner", client.lock("lock").acquire(blocking=False), False)
    lock.extend(10)
    lock.release()
    try:
        lock.release()
    except redis.exceptions.LockError:
        return
    raise SystemExit("a lock was released twice")


def run_together(work):
    failed = []

    def guarded():
        try:
            work()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(LOCKERS)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    equal("errors of threads", failed, [])


def published(client, replica):
    """What is published on the primary reaches subscribers of both ends, in order. (What is published for one end may come to the other while it subscribes.)"""
    for name, subscriber in (("primary", client), ("replica", replica)):
        pubsub = subscriber.pubsub()
        pubsub.subscribe(f"news:{name}")
        pubsub.psubscribe(f"ne*:{name}")
        for _ in range(2):
            pubsub.get_message(timeout=5)
        for n in range(100):
            client.publish(f"news:{name}", n)
        got = [pubsub.get_message(timeout=10) for _ in range(200)]
        direct = [int(message["data"]) for message in got if message and message["type"] == "message"]
        by_pattern = [int(message["data"]) for message in got if message and message["type"] == "pmessage"]
        equal(f"messages on the {name}", (direct, by_pattern), (list(range(100)),) * 2)
        pubsub.close()


def scripts(client, replica):
    move = client.register_script(
        """local n = redis.call('INCRBY', KEYS[1], ARGV[1])
        redis.call('RPUSH', KEYS[2], n)
        return {n, redis.call('LLEN', KEYS[2])}"""
    )
    for n in range(1, 4):
        equal("a script", move(keys=["{s}n", "{s}list"], args=[10]), [10 * n, n])
    eventually("a script's effects on the replica", [b"10", b"20", b"30"], lambda: replica.lrange("{s}list", 0, -1))


def streams(client):
    client.xgroup_create("stream", "group", mkstream=True)
    for n in range(10):
        client.xadd("stream", {"n": n})
    [[_, entries]] = client.xreadgroup("group", "one", {"stream": ">"}, count=10, block=1000)
    equal("entries of a stream", [int(fields[b"n"]) for _, fields in entries], list(range(10)))
    equal("XACK", client.xack("stream", "group", *[entry for entry, _ in entries]), 10)


async def in_asyncio():
    pool = redis.asyncio.BlockingConnectionPool(port=PRIMARY, protocol=3, max_connections=50)
    async with redis.asyncio.Redis.from_pool(pool) as client:
        await asyncio.gather(*(client.incr("async") for _ in range(500)))
        equal("a counter in asyncio", int(await client.get("async")), 500)

        async def consume():
            return [int((await client.blpop("queue", timeout=10))[1]) for _ in range(50)]

        consumer = asyncio.create_task(consume())
        for n in range(50):
            await client.rpush("queue", n)
        equal("a queue in asyncio", await consumer, list(range(50)))
        async with client.lock("async-lock", timeout=5):
            equal("a lock in asyncio", await client.exists("async-lock"), 1)
        async with client.pubsub() as pubsub:
            await pubsub.subscribe("async-news")
            await pubsub.get_message(timeout=5)
            await client.publish("async-news", "hello")
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=5)
            equal("a message in asyncio", message and message["data"], b"hello")


def main():
    client, replica = redis.Redis(port=PRIMARY), redis.Redis(port=REPLICA)
    pipelines(client, replica)
    watched(client)
    locks(client)
    published(client, replica)
    scripts(client, replica)
    streams(client)
    asyncio.run(in_asyncio())
    print(f"{LOCKERS} threads x {TURNS} turns under WATCH and under a lock, 400 messages at both ends, scripts, streams, asyncio: as expected")


main()
