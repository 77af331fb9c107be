"""A worker as a program of its own, which a test stops or kills: crew.py URL STORE NAME LEASE_MS HANDLER."""

import pathlib
import sys
import time

import redis

from holdfast import Worker

url, store, name, lease_ms, how = sys.argv[1:]


def handler(job):
    """Says which order it has; then hangs, or works for a while."""
    print(job.order, flush=True)
    if how == "hangs":
        time.sleep(3600)
    time.sleep(1)
    return {"by": pathlib.Path(__file__).name}


client = redis.Redis.from_url(url)
Worker(client, store, handler, name=name, lease_ms=int(lease_ms), stop_within_s=2, block_ms=200).run()
print("ended", flush=True)
