"""A pop-up shop: 20 mugs, 30 customers, two workers. popup.py [redis://…]"""

import logging
import os
import sys
import threading

import redis

import holdfast
from holdfast import errors

#: Each run has a store of its own.
STORE = f"popup-{os.getpid()}"
MUGS = 20
CUSTOMERS = 30

client = redis.Redis.from_url(sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6379")
shop = holdfast.Client(client)


def open_shop() -> None:
    """Two mugs a customer at most; a cart holds its units for ten minutes."""
    shop.store_set(STORE, limit=2, hold_ms=600_000)
    shop.inv_set(STORE, "mug", MUGS)


def visit(customer: str) -> None:
    """A customer puts a mug into the cart and orders it. Each call can be sent again: the ids make it count once."""
    try:
        shop.inv_reserve(STORE, f"cart-{customer}", {"mug": 1}, customer=customer)
        shop.order_place(STORE, f"o-{customer}", customer, hold=f"cart-{customer}", data={"gift": False})
    except errors.OutOfStock as error:
        print(f"{customer}: sold out ({error.available} left)")


def pack(job: holdfast.Job) -> dict[str, str]:
    """What a worker does with an order. What it returns is kept; an exception would be a failed attempt."""
    if job.attempt == 1 and job.order.endswith("7"):
        raise holdfast.Retry("no box of that size", after_ms=10)
    print(f"packed {job.order} for {job.customer}: {job.items}")
    return {"parcel": f"JD-{job.order}"}


def main() -> None:
    """Sells out, and says what was sold."""
    logging.basicConfig(level=logging.WARNING)
    open_shop()
    # Two handlers at a time. A program of its own would call worker.run() in its main thread, and end on SIGTERM.
    worker = holdfast.Worker(client, STORE, pack, concurrency=2)
    working = threading.Thread(target=worker.run)
    working.start()
    for number in range(CUSTOMERS):
        visit(f"c-{number}")
    while (info := shop.store_info(STORE))["completed"] != MUGS:
        working.join(0.05)
    worker.stop()
    working.join()
    print(f"sold {info['completed']} of {MUGS}, left {info['available']}")


if __name__ == "__main__":
    main()
