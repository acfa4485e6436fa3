"""Celery with the primary as broker and result store: 500 tasks, a chord, retries, an expiring countdown; a worker of 4 threads."""

import subprocess
import sys

import redis
from celery import chord, group

from check import PRIMARY, equal, eventually
from tasks import add, app, fails_twice, total

TASKS = 500


def main():
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool=threads", "--concurrency=4", "--loglevel=warning"]
    worker = subprocess.Popen(command)
    try:
        results = group(add.s(n, n) for n in range(TASKS)).apply_async()
        equal("a group's results", results.get(timeout=60), [2 * n for n in range(TASKS)])
        summed = chord((add.s(n, 1) for n in range(20)), total.s()).apply_async()
        equal("a chord", summed.get(timeout=60), sum(range(1, 21)))
        equal("a task that fails twice", fails_twice.delay().get(timeout=60), 2)
        equal("a task with a countdown", add.apply_async((1, 2), countdown=1).get(timeout=60), 3)
        client = redis.Redis(port=PRIMARY)
        eventually("tasks left in the queue", (0, 0), lambda: (client.llen("celery"), client.hlen("unacked")))
        equal("the worker answers by publish/subscribe", len(app.control.ping(timeout=5)), 1)
    finally:
        worker.terminate()
        worker.wait(30)
    print(f"{TASKS} tasks, a chord, retries and a countdown: all results came, nothing is left in the queue")


main()
