"""Flask-Caching with its Redis backend: views cached and expired, memoized functions, many keys, a prefix cleared."""

import time

import redis
from flask import Flask
from flask_caching import Cache

from check import PRIMARY, REPLICA, equal, eventually

app = Flask(__name__)
cache = Cache(app, config={"CACHE_TYPE": "RedisCache", "CACHE_REDIS_PORT": PRIMARY, "CACHE_KEY_PREFIX": "flask:", "CACHE_DEFAULT_TIMEOUT": 60})
calls = {"view": 0, "square": 0}


@app.route("/view")
@cache.cached(timeout=1)
def view():
    calls["view"] += 1
    return f"call {calls['view']}"


@cache.memoize(60)
def square(n):
    calls["square"] += 1
    return n * n


def main():
    browser, client, replica = app.test_client(), redis.Redis(port=PRIMARY), redis.Redis(port=REPLICA)
    client.set("other", "stays")
    equal("two visits", [browser.get("/view").text for _ in range(2)], ["call 1"] * 2)
    equal("the view's key", client.exists("flask:view//view"), 1)
    eventually("a visit after the timeout", "call 2", lambda: browser.get("/view").text)
    with app.app_context():
        equal("memoized", [square(n % 5) for n in range(50)], [(n % 5) ** 2 for n in range(50)])
        equal("calls", calls["square"], 5)
        cache.delete_memoized(square, 3)
        equal("forgotten", (square(3), calls["square"]), (9, 6))
        cache.set_many({f"k{n}": n for n in range(100)})
        equal("many keys", cache.get_many(*[f"k{n}" for n in range(100)]), list(range(100)))
        equal("added where there is one", cache.add("k1", 5), False)
        eventually("keys on the replica", 100, lambda: len(list(replica.scan_iter("flask:k*"))))
        cache.clear()
        equal("after clear()", list(client.scan_iter("flask:*")), [])
    equal("a key without the prefix", client.get("other"), b"stays")
    print("views, memoized functions, 100 keys, a cleared prefix: as expected")


main()
