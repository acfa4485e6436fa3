"""The tasks of celery.py's program, as its worker loads them."""

import os

from celery import Celery, chord, group

URL = f"redis://127.0.0.1:{os.environ['PRIMARY_PORT']}"
app = Celery("tasks", broker=f"{URL}/0", backend=f"{URL}/1")
app.conf.update(broker_connection_retry_on_startup=True, task_acks_late=True, worker_prefetch_multiplier=4)


@app.task
def add(a, b):
    return a + b


@app.task(bind=True, max_retries=3)
def fails_twice(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return self.request.retries


@app.task
def total(numbers):
    return sum(numbers)
