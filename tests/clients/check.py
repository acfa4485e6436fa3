"""What the Python programs share: where the servers are, and checks that say what came instead."""

import os
import sys
import time

PRIMARY = int(os.environ["PRIMARY_PORT"])
REPLICA = int(os.environ["REPLICA_PORT"])


def equal(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: expected {wanted!r}, got {got!r}")


def eventually(what, wanted, ask, seconds=20):
    """Asks until it gets what is wanted."""
    end = time.monotonic() + seconds
    got = None
    while time.monotonic() < end:
        got = ask()
        if got == wanted:
            return
        time.sleep(0.01)
    sys.exit(f"{what}: expected {wanted!r}, got {got!r} after {seconds} s")
