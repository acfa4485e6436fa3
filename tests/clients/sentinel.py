"""Writes through Sentinel's discovery until it is ended, and prints each key that WAIT 1 acknowledged."""

import os
import sys
import time

import redis
from redis.sentinel import Sentinel

addresses = [address.rsplit(":", 1) for address in os.environ["SENTINELS"].split(",")]
sentinel = Sentinel([(host, int(port)) for host, port in addresses], socket_timeout=1)
primary = sentinel.master_for(os.environ["SERVICE"], socket_timeout=1)
n = 0
while True:
    n += 1
    # Both on one connection: WAIT is about what that has written.
    pipeline = primary.pipeline(transaction=False)
    pipeline.set(f"key:{n}", n)
    pipeline.execute_command("WAIT", 1, 500)
    try:
        written, replicas = pipeline.execute()
    except redis.RedisError as error:
        print(type(error).__name__, error, file=sys.stderr, flush=True)
        time.sleep(0.05)
        continue
    if written and replicas >= 1:
        print(f"key:{n}", flush=True)
    time.sleep(0.005)
